package ring

import (
	"fmt"
	"strconv"
	"strings"
)

// ParseRanges reads numbers below n as files and people write them: "3",
// "0-40,77". It calls each for every number, in the order of the text.
func ParseRanges(s string, n int, each func(i int) error) error {
	if s == "" {
		return nil
	}
	for part := range strings.SplitSeq(s, ",") {
		from, to, isRange := strings.Cut(part, "-")
		lo, err := slotNumber(from, n)
		hi := lo
		if err == nil && isRange {
			hi, err = slotNumber(to, n)
		}
		if err != nil || hi < lo {
			return fmt.Errorf("%.32q is not a slot or a range of slots below %d", part, n)
		}
		for i := lo; i <= hi; i++ {
			if err := each(i); err != nil {
				return err
			}
		}
	}
	return nil
}

func slotNumber(s string, n int) (int, error) {
	i, err := strconv.Atoi(s)
	if err != nil || !digits(s) || i >= n {
		return 0, errNumber
	}
	return i, nil
}

// formatRanges writes, for each name in owners, the numbers it stands at.
func formatRanges(owners []string) map[string]string {
	texts := make(map[string]*strings.Builder)
	for i := 0; i < len(owners); {
		end := i + 1
		for end < len(owners) && owners[end] == owners[i] {
			end++
		}
		if name := owners[i]; name != "" {
			b := texts[name]
			if b == nil {
				b = new(strings.Builder)
				texts[name] = b
			} else {
				b.WriteByte(',')
			}
			b.WriteString(strconv.Itoa(i))
			if end-1 > i {
				b.WriteString("-" + strconv.Itoa(end-1))
			}
		}
		i = end
	}
	out := make(map[string]string, len(texts))
	for name, b := range texts {
		out[name] = b.String()
	}
	return out
}
