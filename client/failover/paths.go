package failover

import (
	"fmt"
	"strconv"
	"strings"
)

// Dir holds the groups.
const Dir = "/redis"

// Paths of one group's files.
type Paths string

// PathsOf returns the paths of a group, whose name is ErrBadName if it is not 1
// to 63 of a-z, 0-9, '.', '_' and '-', the first one a letter or digit.
func PathsOf(group string) (Paths, error) {
	if err := checkName("group", group); err != nil {
		return "", err
	}
	return Paths(group), nil
}

// CheckNode refuses names that no node can have: the rule is that of groups.
func CheckNode(name string) error { return checkName("node", name) }

func checkName(what, name string) error {
	ok := len(name) > 0 && len(name) <= 63
	for i, c := range []byte(name) {
		alnum := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		ok = ok && (alnum || i > 0 && strings.IndexByte("._-", c) >= 0)
	}
	if !ok {
		return fmt.Errorf("%w of a %s: %q is not 1 to 63 of a-z, 0-9, '.', '_', '-', beginning with a letter or digit", ErrBadName, what, name)
	}
	return nil
}

func (p Paths) dir() string { return Dir + "/" + string(p) }

// Glob matches all files of the group.
func (p Paths) Glob() string { return p.dir() + "/**" }

// Conf is the path of the settings.
func (p Paths) Conf() string { return p.dir() + "/conf" }

// Register is the path of the register.
func (p Paths) Register() string { return p.dir() + "/master" }

// Cmd is the path of the operator's command.
func (p Paths) Cmd() string { return p.dir() + "/cmd" }

// Node is the path of a node's description.
func (p Paths) Node(name string) string { return p.dir() + "/node/" + name }

// Stat is the path of a node's state.
func (p Paths) Stat(name string) string { return p.dir() + "/stat/" + name }

// Bid is the path of a node's bid in the election of an epoch.
func (p Paths) Bid(epoch int64, name string) string {
	return p.dir() + "/bid/" + strconv.FormatInt(epoch, 10) + "/" + name
}

// Hist is the path of what is known of the failover that began at an epoch.
func (p Paths) Hist(epoch int64) string {
	return p.dir() + "/hist/" + strconv.FormatInt(epoch, 10)
}

// epochName reads the name that Bid and Hist give an epoch.
func epochName(name string) (int64, bool) {
	n, err := strconv.ParseInt(name, 10, 64)
	return n, err == nil && n > 0 && strconv.FormatInt(n, 10) == name
}
