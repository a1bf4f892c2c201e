// Package quiet lets a process that does little sleep more. What the runtime
// does around a system call and a timer is made for programs that are busy;
// in an idle one it is most of the cost of being idle:
//
//   - A system call that may block is announced to the scheduler. If nothing
//     else runs, that wakes the runtime's monitor, a thread that looks at what
//     goes on every 20 us and more until nothing does.
//   - A timer of the runtime wakes the thread that waits for the network once
//     some part of a millisecond too early and again when it is due, and the
//     monitor as well.
//
// Conn and Alarm do the same work and leave the monitor asleep: reads and
// writes of a socket that does not block are not announced, and a timer of
// the kernel becomes readable as a connection does. On a node that sends and
// answers heartbeats and does nothing else that is two thirds of the switches from
// thread to thread.
//
// Elsewhere than on Linux, Conn returns what it is given and NewAlarm an error
// that wraps errors.ErrUnsupported. The same holds for Conn under the race
// detector, to which the runtime's own connections tell that what was written
// happened before what is read.
//
// An Alarm has one goroutine, which Close ends and waits for.
package quiet
