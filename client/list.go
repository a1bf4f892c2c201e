package client

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"unicode/utf8"

	doozerpb "github.com/doozer-store/doozer/proto"
)

// List returns the files and directories directly in dir, in byte order, as
// they are at one rev. A missing directory is ErrNotExist. A list so long that
// its rev leaves the window before the end is ErrTooLate.
func (c *Client) List(ctx context.Context, dir string, opts ...ReadOption) ([]Info, error) {
	if dir == "" {
		return nil, &OpError{Op: "list", Path: dir, Err: fmt.Errorf("%w: it is empty", ErrBadPath)}
	}
	cfg := readOptions(opts)
	var list []Info
	req := &doozerpb.ListRequest{Dir: dir, Rev: cfg.rev, Local: cfg.local, Limit: listPage}
	err := c.pages(ctx, req, dir, cfg.served, func(f *doozerpb.File) bool {
		list = append(list, infoOf(f))
		return true
	})
	return list, err
}

// Walk yields the files that match glob, in byte order of their paths, all at
// one rev. An error is the last thing it yields; it may come after some files,
// as ErrTooLate when the rev has left the window meanwhile.
func (c *Client) Walk(ctx context.Context, glob string, opts ...ReadOption) iter.Seq2[File, error] {
	cfg := readOptions(opts)
	return func(yield func(File, error) bool) {
		if err := checkGlob(glob); err != nil {
			yield(File{}, &OpError{Op: "list", Path: glob, Err: err})
			return
		}
		req := &doozerpb.ListRequest{
			Glob: glob, Rev: cfg.rev, Local: cfg.local, Values: !cfg.noValues, Limit: listPage,
		}
		err := c.pages(ctx, req, glob, cfg.served, func(f *doozerpb.File) bool { return yield(fileOf(f), nil) })
		if err != nil {
			yield(File{}, err)
		}
	}
}

// checkGlob refuses what cannot be asked of a node, or would ask for something
// else. Everything else about globs is for nodes to judge.
func checkGlob(glob string) error {
	switch {
	case glob == "":
		return fmt.Errorf("%w: it is empty", ErrBadGlob)
	case !utf8.ValidString(glob):
		return fmt.Errorf("%w: it is not UTF-8", ErrBadGlob)
	}
	return nil
}

// pages asks for one page after the other, all at the rev of the first, until
// there is no more or fn says false. Each page is a call of its own, so that
// the loss of a node costs no more than one page.
func (c *Client) pages(ctx context.Context, req *doozerpb.ListRequest, name string, served func(Header), fn func(*doozerpb.File) bool) error {
	for {
		k := c.calls.get(verbList, name)
		k.local, k.served = req.GetLocal(), served
		var page doozerpb.ListResponse
		err := c.run(ctx, k, req, &page)
		c.calls.put(k)
		if err != nil {
			return err
		}
		for _, f := range page.GetFiles() {
			if !fn(f) {
				return nil
			}
		}
		n := len(page.GetFiles())
		if !page.GetMore() || n == 0 {
			return nil
		}
		req.Rev, req.After = page.GetRev(), page.GetFiles()[n-1].GetPath()
	}
}

// readMembers reads the addresses of the members from any node.
func (c *Client) readMembers(ctx context.Context) (map[uint64]string, error) {
	addrs := make(map[uint64]string)
	for f, err := range c.Walk(ctx, "/ctl/node/*/addr", Local()) {
		if err != nil {
			return nil, err
		}
		name := strings.TrimSuffix(strings.TrimPrefix(f.Path, "/ctl/node/"), "/addr")
		id, err := strconv.ParseUint(name, 10, 64)
		if err == nil && checkAddr(string(f.Value)) == nil {
			addrs[id] = string(f.Value)
		}
	}
	return addrs, nil
}
