package rig

import "syscall"

// Cases are all kinds of harm, in the order of a report.
func Cases() []Case {
	return []Case{
		{
			Name: "kill-redis", What: "kill -9 of the master's Redis",
			Harm: func(t *Trial) { t.Old.Redis.signal(syscall.SIGKILL) },
		},
		{
			Name: "stop-redis", What: "SIGSTOP of the master's Redis, SIGCONT after the failover", Alone: true,
			Harm: func(t *Trial) { t.Old.Redis.Pause() },
			Heal: func(t *Trial) { t.Old.Redis.Resume() },
		},
		{
			Name: "cut-master", What: "the master's host cut off from all others, healed after the failover", Alone: true,
			Harm: func(t *Trial) { t.Cut(t.Old) },
			Heal: func(t *Trial) { t.Heal(t.Old) },
		},
		{
			Name: "empty-restart", What: "kill -9 of the master's Redis, which is started again at once, empty", Alone: true,
			Harm: func(t *Trial) {
				t.Old.Redis.Kill()
				t.Old.Redis.Wipe()
				t.Old.Redis.Start()
			},
		},
		{
			Name: "switch", What: "planned switch",
			Harm: func(t *Trial) {
				if err := t.Switch(); err != nil {
					t.t.Errorf("switch: %v", err)
				}
			},
		},
	}
}
