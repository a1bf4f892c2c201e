// Package report shows what a run of drills found: as text for a terminal, as a
// timeline in SVG, as one HTML page, and as JSON.
//
// Page is what is shown: a drill.Report and what its reader needs beside it.
// Text, SVG, HTML and JSON each write one form; Save writes the last three into
// a directory. Judge is the verdict that all of them give.
//
// # How it is made
//
// summary.go counts: the verdict, and one row for each drill. series.go turns
// samples into points, few enough to be drawn. chart.go places panels, bands and
// labels, and svg.go writes elements, escaping as XML wants it. page.html is the
// page's template and style.css the look of both; the page needs no script, no
// network and no other file, and follows the reader's light or dark setting.
// Nothing is told by colour alone.
//
// # Limits
//
// A chart has at most maxPoints points: longer series are gathered, rates as
// means and latencies as the worst of what was gathered. A label that finds no
// room in maxLanes rows is left out of the picture and stands in its tooltip and
// in the page's tables. A page draws a chart for the first maxCharts runs, and
// for every one that failed.
//
// # Goroutines and errors
//
// There are no goroutines: everything runs on the caller's. Errors are those of
// the writer, or of the file system with its path.
package report
