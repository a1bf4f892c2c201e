package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"strings"
)

// branch is a block that runs when call has failed.
type branch struct {
	file, fn, call string
	cond           string
	line, column   int // of its first statement
	executed       bool
}

// name is what allow.go calls it; it holds no line.
func (b branch) name() string { return b.file + " " + b.fn + " " + b.call + ": " + b.cond }

// kinds of calls that reach the disk, by the name of the function called.
var kinds = map[string]string{
	"Sync": "sync", "Datasync": "sync", "Fdatasync": "sync", "sync": "sync", "SyncDir": "sync", "syncDir": "sync", "flush": "sync",
	"WriteAt": "write", "Write": "write", "write": "write", "Commit": "write", "commit": "write", "Update": "write", "initialize": "write",
	"Append": "write", "Put": "write", "writeZeros": "write", "Allocate": "write", "Fallocate": "write", "Truncate": "write",
	"Rename": "rename", "rename": "rename", "install": "rename", "Install": "rename",
	"Create": "create", "Remove": "create", "MkdirAll": "create", "Mkdir": "create", "OpenFile": "create",
	"rotate": "create", "prepare": "create", "takeNext": "create", "removeOldest": "create", "reset": "create", "Reset": "create", "Compact": "create", "compact": "create",
	"ReadAt": "read", "ReadDir": "read", "Open": "read", "Size": "read", "Stat": "read", "load": "read", "Load": "read", "full": "read", "take": "read",
}

// order in which kinds are reported.
var order = []string{"sync", "write", "rename", "create", "read", "other"}

// kind groups branches for the report.
func (b branch) kind() string {
	name := b.call[strings.LastIndexByte(b.call, '.')+1:]
	if k := kinds[name]; k != "" {
		return k
	}
	return "other"
}

// scan finds the error branches of a file; name is how it is called in the
// result, src as for parser.ParseFile.
func scan(name, path string, src any) ([]branch, error) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, path, src, 0)
	if err != nil {
		return nil, err
	}
	s := scanner{fset: fset, file: name}
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil {
			s.fn = funcName(fn)
			s.block(fn.Body.List)
		}
	}
	return s.found, nil
}

func funcName(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return fn.Name.Name
	}
	t := fn.Recv.List[0].Type
	if p, ok := t.(*ast.StarExpr); ok {
		t = p.X
	}
	return text(token.NewFileSet(), t) + "." + fn.Name.Name
}

type scanner struct {
	fset  *token.FileSet
	file  string
	fn    string
	found []branch
}

// block looks at statements in order; before is the last call whose error may
// be asked for next.
func (s *scanner) block(list []ast.Stmt) {
	before := ""
	for _, st := range list {
		s.statement(st, &before)
	}
}

func (s *scanner) statement(st ast.Stmt, before *string) {
	switch st := st.(type) {
	case *ast.IfStmt:
		s.ifStmt(st, before)
	case *ast.SwitchStmt:
		s.switchStmt(st, before)
	case *ast.BlockStmt:
		s.block(st.List)
	case *ast.ForStmt:
		s.block(st.Body.List)
	case *ast.RangeStmt:
		s.block(st.Body.List)
	case *ast.SelectStmt:
		for _, c := range st.Body.List {
			s.block(c.(*ast.CommClause).Body)
		}
	case *ast.ExprStmt, *ast.DeferStmt, *ast.GoStmt:
		dropped := "" // nobody asks for its error
		s.calls(st, &dropped)
	default:
		s.calls(st, before)
	}
}

func (s *scanner) ifStmt(st *ast.IfStmt, before *string) {
	if st.Init != nil {
		s.calls(st.Init, before)
	}
	s.calls(st.Cond, before)
	there, absent := asks(st.Cond)
	if there {
		s.add(*before, st.Cond, st.Body.List)
	}
	inner := *before
	for _, b := range st.Body.List {
		s.statement(b, &inner)
	}
	switch e := st.Else.(type) {
	case *ast.BlockStmt:
		if absent && !there {
			s.add(*before, &ast.UnaryExpr{Op: token.NOT, X: &ast.ParenExpr{X: st.Cond}}, e.List)
		}
		inner := *before
		for _, b := range e.List {
			s.statement(b, &inner)
		}
	case *ast.IfStmt:
		s.ifStmt(e, before)
	}
}

func (s *scanner) switchStmt(st *ast.SwitchStmt, before *string) {
	if st.Init != nil {
		s.calls(st.Init, before)
	}
	for _, c := range st.Body.List {
		clause := c.(*ast.CaseClause)
		for _, e := range clause.List {
			if there, _ := asks(e); there && st.Tag == nil {
				s.add(*before, e, clause.Body)
				break
			}
		}
		inner := *before
		for _, b := range clause.Body {
			s.statement(b, &inner)
		}
	}
}

// calls notes the last call of a statement that is not about errors, and goes
// into function literals.
func (s *scanner) calls(n ast.Node, before *string) {
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			s.block(n.Body.List)
			return false
		case *ast.CallExpr:
			name := text(s.fset, n.Fun)
			if sel, ok := n.Fun.(*ast.SelectorExpr); ok && strings.ContainsAny(name, "\n({[") {
				name = sel.Sel.Name
			}
			if isCall(name) {
				*before = name
				for _, a := range n.Args { // literals only: the outer call is the one that failed
					if lit, ok := a.(*ast.FuncLit); ok {
						s.block(lit.Body.List)
					}
				}
				return false
			}
		}
		return true
	})
}

// isCall leaves out what makes or compares errors and never fails.
func isCall(name string) bool {
	switch {
	case strings.HasPrefix(name, "errors."), strings.HasPrefix(name, "fmt."), strings.HasPrefix(name, "bytes."),
		strings.HasPrefix(name, "binary."), strings.HasPrefix(name, "strings."), strings.ContainsAny(name, "\n({["):
		return false
	}
	switch name[strings.LastIndexByte(name, '.')+1:] {
	case "len", "cap", "append", "min", "max", "make", "new", "copy", "clear", "Lock", "Unlock", "RLock", "RUnlock", "Done", "close", "Error", "uint64", "int64", "int", "string", "byte", "step":
		return false
	}
	return true
}

func (s *scanner) add(call string, cond ast.Expr, body []ast.Stmt) {
	if len(body) == 0 {
		return
	}
	p := s.fset.Position(body[0].Pos())
	s.found = append(s.found, branch{file: s.file, fn: s.fn, call: call, cond: text(s.fset, cond), line: p.Line, column: p.Column})
}

// asks tells whether a condition holds only if there is an error, or only if
// there is none.
func asks(e ast.Expr) (there, absent bool) {
	switch e := e.(type) {
	case *ast.ParenExpr:
		return asks(e.X)
	case *ast.UnaryExpr:
		if e.Op == token.NOT {
			there, absent = asks(e.X)
			return absent, there
		}
	case *ast.CallExpr:
		name := text(token.NewFileSet(), e.Fun)
		return name == "errors.Is" || name == "errors.As", false
	case *ast.BinaryExpr:
		switch e.Op {
		case token.LAND, token.LOR:
			a, b := asks(e.X)
			c, d := asks(e.Y)
			return a || c, b || d
		case token.NEQ, token.EQL:
			if !isError(e.X) {
				return false, false
			}
			y, ok := e.Y.(*ast.Ident)
			null := ok && y.Name == "nil"
			// Compared with a certain error, there is one.
			return null == (e.Op == token.NEQ) || !null, null && e.Op == token.EQL
		}
	}
	return false, false
}

// isError goes by names: err, x.err, xErr, failed.
func isError(e ast.Expr) bool {
	name := ""
	switch e := e.(type) {
	case *ast.Ident:
		name = e.Name
	case *ast.SelectorExpr:
		name = e.Sel.Name
	}
	return name == "err" || name == "failed" || strings.HasSuffix(name, "Err") || strings.HasPrefix(name, "cerr")
}

func text(fset *token.FileSet, n ast.Node) string {
	var b bytes.Buffer
	if err := printer.Fprint(&b, fset, n); err != nil {
		return fmt.Sprintf("%T", n)
	}
	return b.String()
}
