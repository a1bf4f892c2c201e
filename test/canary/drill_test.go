package canary

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/doozer-store/doozer/drill"
)

// drillEnv names the drill that TestDrill runs.
const drillEnv = "DOOZER_CANARY_DRILL"

// TestDrill runs one drill, with a doozerd that it builds, and fails for every
// check that fails: "check name: what was found". It is run by TestMutations and
// TestControls, which name the drill; without a name there is nothing to run.
func TestDrill(t *testing.T) {
	name := os.Getenv(drillEnv)
	if name == "" {
		return
	}
	bin := filepath.Join(t.TempDir(), "doozerd")
	if out, err := exec.Command("go", "build", "-o", bin, "github.com/doozer-store/doozer/cmd/doozerd").CombinedOutput(); err != nil {
		t.Fatalf("[build failed] %v\n%s", err, out)
	}
	report, err := drill.Conduct(t.Context(), drill.Options{
		Binary: bin, Dir: filepath.Join(t.TempDir(), "drill"), Drills: []string{name}, MinRate: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, run := range report.Runs {
		t.Logf("%s, seed %d: %d operations done, %d of unknown outcome", run.Drill, run.Seed, run.OK, run.Unknown)
		for _, c := range run.Checks {
			if !c.OK {
				t.Errorf("check %s: %s", c.Name, c.Detail)
			}
		}
	}
}

// missing is what this machine lacks to prove m, "" if it can.
func missing(t *testing.T, m mutation) string {
	t.Helper()
	if m.program != "" {
		if _, err := exec.LookPath(m.program); err != nil {
			return err.Error()
		}
	}
	name := cmp.Or(m.drill, m.needs)
	for _, d := range drill.Drills() {
		if d.Name == name {
			return d.Missing
		}
	}
	if name != "" {
		t.Fatalf("there is no drill %q", name)
	}
	return ""
}
