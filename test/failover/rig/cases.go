package rig

import (
	"fmt"
	"syscall"

	"github.com/doozer-store/doozer/client/failover"
	"github.com/doozer-store/doozer/drill/cluster"
)

// Cases are all kinds of harm, in the order of a report.
func Cases() []Case {
	all := []Case{
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
			Name: "stop-agent", What: "SIGSTOP of the master's agent, SIGCONT after the failover", Doozer: true,
			Harm: func(t *Trial) { t.Old.PauseGuard() },
			Heal: func(t *Trial) { t.Old.ResumeGuard() },
		},
		{
			Name: "kill-agent", What: "kill -9 of the master's agent", Doozer: true,
			Harm: func(t *Trial) { t.Old.KillGuard() },
		},
		{
			Name: "stop-both", What: "SIGSTOP of the master's Redis and its guard, SIGCONT after the failover", Alone: true,
			Harm: func(t *Trial) { t.Old.PauseGuard(); t.Old.Redis.Pause() },
			Heal: func(t *Trial) { t.Old.Redis.Resume(); t.Old.ResumeGuard() },
		},
		{
			Name: "kill-both", What: "kill -9 of the master's Redis and its guard",
			Harm: func(t *Trial) { t.Old.KillGuard(); t.Old.Redis.signal(syscall.SIGKILL) },
		},
		{
			Name: "cut-master", What: "the master's host cut off from all others, healed after the failover", Alone: true,
			Harm: func(t *Trial) { t.Cut(t.Old) },
			Heal: func(t *Trial) { t.Heal(t.Old) },
		},
		{
			Name: "cut-store", What: "the master's host cut off from doozer alone, healed after the failover", Doozer: true,
			Harm: func(t *Trial) { t.CutStore(t.Old) },
			Heal: func(t *Trial) { t.Group.Heal(t.Old) },
		},
		{
			Name: "no-majority", What: "doozer without a majority, until no server takes writes", Doozer: true, Nobody: true,
			Harm: func(t *Trial) { t.Store.LoseMajority() },
			Heal: func(t *Trial) { t.Store.RegainMajority() },
		},
		{
			Name: "empty-restart", What: "kill -9 of the master's Redis, started again at once, empty", Alone: true, MayStay: true,
			Harm: func(t *Trial) { t.Old.Redis.Kill(); t.Old.Redis.Wipe(); t.Old.Redis.Start() },
		},
		{
			Name: "stale-return", What: "kill -9 of the master's Redis, started after the failover with old data", Alone: true,
			Before: func(t *Trial) { t.Old.Redis.Do("SAVE") },
			Harm:   func(t *Trial) { t.Old.Redis.signal(syscall.SIGKILL) },
			Heal:   func(t *Trial) { t.StartRedis(t.Old) },
		},
		{
			Name: "switch", What: "planned switch under load",
			Harm: func(t *Trial) { t.mustSwitch() },
		},
	}
	return append(append(all, dyingCases()...), waitCases()...)
}

// dyingCases are the deaths of the agent that writes the register, at each of its
// states.
func dyingCases() []Case {
	die := func(state failover.State, harm func(*Trial)) Case {
		return Case{
			Name: "die-" + string(state), Doozer: true, Die: state,
			What: "the agent that writes " + string(state) + " into the register dies of it, in the failover of a killed Redis",
			Harm: func(t *Trial) { t.arm(); harm(t) },
		}
	}
	kill := func(t *Trial) { t.Old.Redis.signal(syscall.SIGKILL) }
	switching := die(failover.Switching, func(t *Trial) { t.Switch() }) // which may come to nothing
	switching.What = "the agent that writes switching into the register dies of it"
	return []Case{die(failover.Electing, kill), die(failover.Promoting, kill), die(failover.Running, kill), switching}
}

// waitCases are harms to clients that rely on WAIT, in a group that promises to keep what
// one replica has confirmed.
func waitCases() []Case {
	var all []Case
	for _, c := range []Case{
		{Name: "wait-kill-redis", What: "kill -9 of the master's Redis", Harm: func(t *Trial) { t.Old.Redis.signal(syscall.SIGKILL) }},
		{
			Name: "wait-stop-both", What: "SIGSTOP of the master's Redis and its guard",
			Harm: func(t *Trial) { t.Old.PauseGuard(); t.Old.Redis.Pause() },
			Heal: func(t *Trial) { t.Old.Redis.Resume(); t.Old.ResumeGuard() },
		},
		{
			Name: "wait-cut-master", What: "the master's host cut off from all others",
			Harm: func(t *Trial) { t.Cut(t.Old) },
			Heal: func(t *Trial) { t.Heal(t.Old) },
		},
		{Name: "wait-switch", What: "planned switch", Harm: func(t *Trial) { t.mustSwitch() }},
	} {
		c.What += ", clients that WAIT 1, sync 1"
		c.Wait, c.Conf = 1, func(conf *failover.Conf) { conf.Sync = 1 }
		all = append(all, c)
	}
	return all
}

// mustSwitch asks until it is done: it is refused while a failover goes on.
func (t *Trial) mustSwitch() {
	t.t.Helper()
	cluster.Eventually(t.t, outcomeLimit, "the switch is done", func() (bool, string) {
		err := t.Switch()
		return err == nil, fmt.Sprint(err)
	})
}
