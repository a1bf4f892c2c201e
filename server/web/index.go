package web

import (
	"html/template"
	"net/http"
)

// page is one line of the index.
type page struct{ Path, What string }

// pages lists what Handler serves, for the index.
func pages() []page {
	return []page{
		{"/metrics", "measurements, for Prometheus"},
		{"/livez", "200 while the process works"},
		{"/readyz", "200 when a read that needs a majority succeeds within a second"},
		{"/debug/pprof/", "profiles of the process"},
	}
}

const indexHTML = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>doozer {{.Name}}</title></head>
<body>
<h1>doozer {{.Name}}</h1>
<ul>
{{range .Pages}}<li><a href="{{.Path}}">{{.Path}}</a> {{.What}}</li>
{{end}}</ul>
</body>
</html>
`

func (s *Server) index(w http.ResponseWriter, r *http.Request) {
	t := template.Must(template.New("index").Parse(indexHTML))
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	data := struct {
		Name  string
		Pages []page
	}{s.cfg.Name, pages()}
	if err := t.Execute(w, data); err != nil {
		s.cfg.Log.Warn("index page", "err", err)
	}
}
