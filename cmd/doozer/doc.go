// Command doozer is the client of a doozer store for people and scripts.
//
// # Files
//
// main.go starts and maps the outcome to an exit status (status.. in
// errors.go, which is an interface to scripts). command.go is the type command:
// one invocation with its streams, environment and global flags, and what all
// verbs share. Each verb has a file of its own name. flags.go are the types of
// flags, input.go reads values, script.go and script_json.go read the
// transactions of txn, exec.go runs the commands of watch --exec, output.go,
// table.go and record.go format, limits.go says what is bounded. firedrill is
// more than a file: its places (the program to run, the directories), its live
// lines and its run are beside it; what it does and how that is shown are
// packages drill and drill/report. lock, elect and run share a runner
// (lock_run.go) and a guard: a process of this program that ends the command in
// time (lock_guard.go is doozer's side of it, lock_warden.go its own,
// lock_linux.go what only the kernel can do). run_keep.go is the supervisor of
// run, run_slot.go the numbered slots, run_list.go what shows them. redis has verbs
// of its own, one a file: redis_agent.go runs beside a server, the others ask and
// tell.
//
// # Rules
//
// Nothing is written to stdout when a verb fails before its first result;
// verbs that stream (find, log, watch) may fail after some. An error is one
// line on stderr: program, verb, path, what is wrong and, where there is one,
// the remedy; a usage error has a second line that points at --help. Text of
// others (names, authors, messages) is escaped before it reaches a terminal;
// values and paths are never changed.
//
// # Goroutines
//
// A verb runs on the caller's goroutine. Those beside it belong to package
// client, which ends them in Close before the verb returns, and to os/exec,
// which ends them before the command of watch --exec counts as ended. Those of
// a fire drill, and its processes, have ended when drill.Run has returned; only
// one of them at a time calls the live lines. lock has one that reads what the
// guard reports, which ends with the guard, before the verb returns; so does run,
// and one that writes a slot's file, which ends before the slot is given up. The guard's
// state belongs to the goroutine of warden.run; beside it one reads orders, and
// one starts the command and waits for it.
package main
