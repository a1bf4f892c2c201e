package ring

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

var (
	errRefText = fmt.Errorf("it is over %d bytes, or not UTF-8: not an address", maxRefText)
	errRefJSON = errors.New("it is no JSON object with an addr")
)

// Address is the address that a file says to which nodes refer: its text without
// a newline at the end or, of a JSON object, its "addr". The register of a group of
// Redis servers is such an object: while its "state" is another one than running
// or switching there is no master, and the address is empty.
func Address(file []byte) (string, error) {
	if len(file) > maxRefText || !utf8.Valid(file) {
		return "", errRefText
	}
	text := strings.TrimSuffix(string(file), "\n")
	if !strings.HasPrefix(text, "{") {
		return text, nil
	}
	var object struct {
		Addr  *string `json:"addr"`
		State string  `json:"state"`
	}
	if err := json.Unmarshal([]byte(text), &object); err != nil {
		return "", fmt.Errorf("%w: %w", errRefJSON, err)
	}
	switch {
	case object.State != "" && object.State != "running" && object.State != "switching":
		return "", nil
	case object.Addr == nil:
		return "", errRefJSON
	}
	return *object.Addr, nil
}
