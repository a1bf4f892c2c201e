package consensus

import "testing"

func TestCheckpointOffset(t *testing.T) {
	voters := map[uint64]bool{1: true, 2: true, 3: true}
	for id, want := range map[uint64]int64{1: 0, 2: 30, 3: 60, 9: 90} {
		if got := checkpointOffset(id, voters, 90); got != want {
			t.Errorf("node %d begins at %d of 90, want %d", id, got, want)
		}
	}
	if got := checkpointOffset(1, nil, 90); got != 0 {
		t.Errorf("without voters: %d, want 0", got)
	}
}
