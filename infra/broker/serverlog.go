package broker

import (
	"fmt"
	"log/slog"
	"sync"
)

// serverLog hands the embedded server's warnings to a slog.Logger and keeps the
// reason of a fatal one, which would otherwise end in a silent server.
type serverLog struct {
	logger *slog.Logger

	mu     sync.Mutex
	reason string
}

func (l *serverLog) fatal() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reason
}

func (l *serverLog) Fatalf(format string, v ...any) {
	l.mu.Lock()
	l.reason = fmt.Sprintf(format, v...)
	l.mu.Unlock()
	l.Errorf(format, v...)
}

func (l *serverLog) Errorf(format string, v ...any) {
	if l.logger != nil {
		l.logger.Error("broker", "detail", fmt.Sprintf(format, v...))
	}
}

func (l *serverLog) Warnf(format string, v ...any) {
	if l.logger != nil {
		l.logger.Warn("broker", "detail", fmt.Sprintf(format, v...))
	}
}

func (l *serverLog) Noticef(format string, v ...any) {
	if l.logger != nil {
		l.logger.Debug("broker", "detail", fmt.Sprintf(format, v...))
	}
}

// The levels below are the server's own debugging, switched off.
func (l *serverLog) Debugf(string, ...any) {}
func (l *serverLog) Tracef(string, ...any) {}
