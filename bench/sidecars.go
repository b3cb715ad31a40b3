package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// sidecarsArg makes this program the parent of the sidecars: they end with it,
// and it ends with us.
const sidecarsArg = "sidecars"

// The addresses that it tells, or why there are none.
const (
	upstream = "upstream" // where the client's sidecar takes calls
	skipped  = "skipped"
)

// sidecarStart is generous: Consul elects a leader and makes a CA first.
const sidecarStart = 60 * time.Second

// versus is the library beside the sidecars, for one number of callers.
type versus struct {
	callers           int
	throughput, p50   []float64 // paired ratios: library over sidecars, sidecars' p50 over the library's
	library, sidecars []pace
}

// pace is what a slice of calls came to.
type pace struct {
	perSecond float64
	p50       time.Duration
}

// compareSidecars measures the library with both of its rings against raw gRPC
// through two sidecars, to the same server process, one right after the other.
// It returns a sentence instead where there is no Consul.
func compareSidecars(f *fleet, s settings, stopped <-chan os.Signal) (rows []versus, without string, err error) {
	one := &fleet{servers: f.servers[:1], zipkin: f.zipkin}
	proxies, err := startChild(sidecarStart, sidecarsArg, one.addrs(plain)[0])
	if err != nil {
		return nil, "", err
	}
	defer proxies.stop()
	if why := proxies.addrs[skipped]; why != "" {
		return nil, why, nil
	}
	through, err := rawTo([]string{proxies.addrs[upstream]}, "sidecars")
	if err != nil {
		return nil, "", err
	}
	defer through.stop()
	library, err := kitmeshBoth(0.01)(one, "library")
	if err != nil {
		return nil, "", err
	}
	defer library.stop()
	if err := errors.Join(through.await(), library.await()); err != nil {
		return nil, "", err
	}
	for _, n := range callers {
		v := versus{callers: n}
		for i := range s.pairs {
			select {
			case <-stopped:
				return nil, "", errors.New("stopped")
			default:
			}
			if err := v.add(library, through, s.slice, i%2 == 0); err != nil {
				return nil, "", err
			}
		}
		rows = append(rows, v)
	}
	return rows, "", nil
}

func (v *versus) add(library, through contender, slice time.Duration, libraryFirst bool) error {
	var ours, theirs pace
	var errs [2]error
	if libraryFirst {
		ours, errs[0] = library.pace(v.callers, slice)
	}
	theirs, errs[1] = through.pace(v.callers, slice)
	if !libraryFirst {
		ours, errs[0] = library.pace(v.callers, slice)
	}
	v.library, v.sidecars = append(v.library, ours), append(v.sidecars, theirs)
	v.throughput = append(v.throughput, ours.perSecond/theirs.perSecond)
	v.p50 = append(v.p50, float64(ours.p50)/float64(theirs.p50))
	return errors.Join(errs[:]...)
}

// await calls until the way is open, and warms up then.
func (c contender) await() error {
	for begin := time.Now(); ; {
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		_, err := c.call(ctx)
		cancel()
		if err == nil {
			return c.warm()
		}
		if time.Since(begin) > sidecarStart {
			return fmt.Errorf("%s: no way through within %s: %w", c.name, sidecarStart, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// pace calls for a slice of time and clocks every call. One failure ends it:
// none is expected, and failing is quick.
func (c contender) pace(callers int, slice time.Duration) (pace, error) {
	var over atomic.Bool
	var failed atomic.Pointer[error]
	took := make([][]time.Duration, callers)
	var wg sync.WaitGroup
	begin := time.Now()
	end := time.AfterFunc(slice, func() { over.Store(true) })
	defer end.Stop()
	for n := range callers {
		wg.Go(func() {
			for !over.Load() {
				start := time.Now()
				ctx, cancel := context.WithTimeout(context.Background(), deadline)
				_, err := c.call(ctx)
				cancel()
				if err != nil {
					failed.Store(&err)
					over.Store(true)
				}
				took[n] = append(took[n], time.Since(start))
			}
		})
	}
	wg.Wait()
	wall := time.Since(begin)
	if err := failed.Load(); err != nil {
		return pace{}, fmt.Errorf("%s: %w", c.name, *err)
	}
	all := slices.Concat(took...)
	slices.Sort(all)
	return pace{perSecond: float64(len(all)) / wall.Seconds(), p50: all[len(all)/2]}, nil
}

// serveSidecars runs a Consul of its own and two of its proxies: one that stands
// before the server, and one that takes calls for it next to the client. They
// speak plainly with the programs beside them and mTLS with each other.
func serveSidecars(server string, open *closers) (map[string]string, error) {
	path := consulBinary()
	if path == "" {
		return map[string]string{skipped: "there is no Consul: set KITMESH_CONSUL, or build it with `make build`"}, nil
	}
	ports, err := freePorts(5)
	if err != nil {
		return nil, err
	}
	run := func(args ...string) error {
		cmd := exec.Command(path, args...)
		if err := cmd.Start(); err != nil {
			return fmt.Errorf("start %s %s: %w", path, args[0], err)
		}
		open.add(func() error {
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // reports the kill
			return nil
		})
		return nil
	}
	if err := run("agent", "-dev", "-log-level=error", "-bind=127.0.0.1", "-client=127.0.0.1", "-disable-host-node-id",
		"-dns-port=-1", "-grpc-port=-1", "-grpc-tls-port=-1", "-serf-wan-port=-1", "-hcl=disable_update_check = true",
		"-http-port="+ports[0], "-server-port="+ports[1], "-serf-lan-port="+ports[2]); err != nil {
		return nil, err
	}
	agent := "http://127.0.0.1:" + ports[0]
	if err := awaitLeader(agent); err != nil {
		return nil, err
	}
	at := "127.0.0.1:" + ports[4]
	return map[string]string{upstream: at}, errors.Join(
		run("connect", "proxy", "-http-addr="+agent, "-log-level=error", "-service="+service, "-service-addr="+server,
			"-listen=127.0.0.1:"+ports[3], "-register"),
		run("connect", "proxy", "-http-addr="+agent, "-log-level=error", "-service=bench", "-upstream="+service+":"+at))
}

// consulBinary is $KITMESH_CONSUL, or what this repository has built, or "".
func consulBinary() string {
	for _, path := range []string{os.Getenv("KITMESH_CONSUL"), filepath.Join("..", "bin", "consul"), filepath.Join("bin", "consul")} {
		if found, err := exec.LookPath(path); path != "" && err == nil {
			return found
		}
	}
	return ""
}

// awaitLeader returns when Consul can be written to.
func awaitLeader(agent string) error {
	client := http.Client{Timeout: time.Second}
	for begin := time.Now(); time.Since(begin) < sidecarStart; time.Sleep(50 * time.Millisecond) {
		resp, err := client.Get(agent + "/v1/status/leader")
		if err != nil {
			continue
		}
		leader, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusOK && len(leader) > len(`""`) {
			return nil
		}
	}
	return fmt.Errorf("the Consul for the sidecars has no leader within %s", sidecarStart)
}

// freePorts finds ports that were free a moment ago.
func freePorts(n int) ([]string, error) {
	var ports []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all at the end: no port is found twice
		_, port, _ := net.SplitHostPort(l.Addr().String())
		ports = append(ports, port)
	}
	return ports, nil
}
