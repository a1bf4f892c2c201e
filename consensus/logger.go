package consensus

import (
	"context"
	"fmt"
	"log/slog"
)

// raftLogger gives raft's log lines to slog. What raft calls information is
// detail here: the node itself logs what an operator needs.
type raftLogger struct{ log *slog.Logger }

func (l raftLogger) Debug(v ...any)            { l.log.Debug(fmt.Sprint(v...)) }
func (l raftLogger) Debugf(f string, v ...any) { l.debugf(f, v...) }
func (l raftLogger) Info(v ...any)             { l.log.Debug(fmt.Sprint(v...)) }
func (l raftLogger) Infof(f string, v ...any)  { l.debugf(f, v...) }
func (l raftLogger) Warning(v ...any)          { l.log.Warn(fmt.Sprint(v...)) }
func (l raftLogger) Warningf(f string, v ...any) {
	l.log.Warn(fmt.Sprintf(f, v...))
}
func (l raftLogger) Error(v ...any)            { l.log.Error(fmt.Sprint(v...)) }
func (l raftLogger) Errorf(f string, v ...any) { l.log.Error(fmt.Sprintf(f, v...)) }
func (l raftLogger) Fatal(v ...any)            { panic(fmt.Sprint(v...)) }
func (l raftLogger) Fatalf(f string, v ...any) { panic(fmt.Sprintf(f, v...)) }
func (l raftLogger) Panic(v ...any)            { panic(fmt.Sprint(v...)) }
func (l raftLogger) Panicf(f string, v ...any) { panic(fmt.Sprintf(f, v...)) }

func (l raftLogger) debugf(f string, v ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug(fmt.Sprintf(f, v...))
	}
}
