package report

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
)

// The files that Save writes.
const (
	PageFile     = "report.html"
	TimelineFile = "timeline.svg"
	DataFile     = "report.json"
)

// Save writes p into the directory dir, which it makes if it must, as PageFile,
// TimelineFile and DataFile. Files of these names are replaced.
func Save(dir string, p Page) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	var page, timeline, data bytes.Buffer
	if err := HTML(&page, p); err != nil {
		return err
	}
	if err := SVG(&timeline, p.Report); err != nil {
		return err
	}
	if err := JSON(&data, p.Report); err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		text []byte
	}{{PageFile, page.Bytes()}, {TimelineFile, timeline.Bytes()}, {DataFile, data.Bytes()}} {
		if err := os.WriteFile(filepath.Join(dir, f.name), f.text, 0o666); err != nil {
			return fmt.Errorf("report: %w", err)
		}
	}
	return nil
}
