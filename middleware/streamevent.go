package middleware

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// commands are the Hystrix commands of this process by name, which hystrix-go
// keeps for ever, too.
var commands struct {
	mu     sync.Mutex
	byName map[string]*command
}

func enlist(c *command) {
	commands.mu.Lock()
	defer commands.mu.Unlock()
	if commands.byName == nil {
		commands.byName = map[string]*command{}
	}
	commands.byName[c.Name] = c
}

// enlisted lists the commands by name.
func enlisted() (list []*command) {
	commands.mu.Lock()
	defer commands.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(commands.byName)) {
		list = append(list, commands.byName[name])
	}
	return list
}

// commandEvent is what Hystrix dashboards read about a command: the fields of
// hystrix-go's own stream, those that are always zero included, because
// dashboards insist on them.
func (c *command) commandEvent(now time.Time) map[string]any {
	f := c.figures
	requests := f.sum(now, Success, Failure, Timeout, ShortCircuited, Rejected, Left)
	errors := f.sum(now, Failure, Timeout, ShortCircuited, Rejected)
	mean, percentiles := f.latency()
	event := map[string]any{
		"type": "HystrixCommand", "name": c.Name, "group": c.Name,
		"currentTime": now.UnixMilli(), "reportingHosts": 1,

		"requestCount":         requests,
		"errorCount":           errors,
		"errorPercentage":      errors * 100 / max(requests, 1),
		"isCircuitBreakerOpen": f.open.Load(),

		"rollingCountSuccess":             f.sum(now, Success),
		"rollingCountFailure":             f.sum(now, Failure),
		"rollingCountTimeout":             f.sum(now, Timeout),
		"rollingCountShortCircuited":      f.sum(now, ShortCircuited),
		"rollingCountThreadPoolRejected":  f.sum(now, Rejected),
		"rollingCountFallbackSuccess":     f.sum(now, FellBack),
		"currentConcurrentExecutionCount": len(c.permits),

		// One time is both: nothing waits for a thread here.
		"latencyExecute": percentiles, "latencyExecute_mean": mean,
		"latencyTotal": percentiles, "latencyTotal_mean": mean,

		"propertyValue_circuitBreakerEnabled":                            true,
		"propertyValue_circuitBreakerForceOpen":                          false,
		"propertyValue_circuitBreakerForceClosed":                        false,
		"propertyValue_circuitBreakerErrorThresholdPercentage":           c.ErrorPercent,
		"propertyValue_circuitBreakerRequestVolumeThreshold":             c.RequestVolume,
		"propertyValue_circuitBreakerSleepWindowInMilliseconds":          c.SleepWindow.Milliseconds(),
		"propertyValue_executionIsolationStrategy":                       "THREAD",
		"propertyValue_executionIsolationThreadTimeoutInMilliseconds":    c.Timeout.Milliseconds(),
		"propertyValue_executionIsolationThreadInterruptOnTimeout":       true,
		"propertyValue_executionIsolationThreadPoolKeyOverride":          "",
		"propertyValue_metricsRollingStatisticalWindowInMilliseconds":    10000,
		"propertyValue_requestCacheEnabled":                              false,
		"propertyValue_requestLogEnabled":                                false,
		"propertyValue_executionIsolationSemaphoreMaxConcurrentRequests": 0,
		"propertyValue_fallbackIsolationSemaphoreMaxConcurrentRequests":  0,
	}
	for _, always := range []string{
		"CollapsedRequests", "ExceptionsThrown", "FallbackFailure", "FallbackRejection", "ResponsesFromCache", "SemaphoreRejected",
	} {
		event["rollingCount"+always] = 0
	}
	return event
}

// poolEvent is what dashboards read about a thread pool: here, the bulkhead.
func (c *command) poolEvent(now time.Time) map[string]any {
	size := cap(c.permits)
	return map[string]any{
		"type": "HystrixThreadPool", "name": c.Name, "reportingHosts": 1,

		"currentActiveCount":          len(c.permits),
		"currentTaskCount":            0,
		"currentCompletedTaskCount":   0,
		"currentQueueSize":            0,
		"currentPoolSize":             size,
		"currentCorePoolSize":         size,
		"currentLargestPoolSize":      size,
		"currentMaximumPoolSize":      size,
		"rollingMaxActiveThreads":     int(c.figures.busiest.Max(now)),
		"rollingCountThreadsExecuted": c.figures.sum(now, Success, Failure, Timeout, Left),

		"propertyValue_metricsRollingStatisticalWindowInMilliseconds": 10000,
		"propertyValue_queueSizeRejectionThreshold":                   0,
	}
}
