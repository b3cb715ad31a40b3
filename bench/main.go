// Command bench compares the rings of kitmesh with raw gRPC, stock go-kit,
// Kratos and go-zero: the same three servers, the same method, one run. Its
// last lines are "bench: <name> <value> <unit>".
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

type settings struct {
	pairs    int           // of a contender, for each number of callers
	slice    time.Duration // one side of a pair
	only     string        // the one contender to run, "" for all
	markdown string        // file for the table
	note     string        // what a reader of the table must know about this run
	profile  string        // file for the allocations of the one contender
	cpu      string        // file for its CPU time
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == serveArg {
		exit(serve(os.Args[2:]))
	}
	s := settings{pairs: 30, slice: 250 * time.Millisecond}
	quick := flag.Bool("quick", false, "a short run: shows that everything works, and the order of magnitude")
	flag.IntVar(&s.pairs, "pairs", s.pairs, "pairs of each contender with raw gRPC, for each number of callers")
	flag.DurationVar(&s.slice, "slice", s.slice, "length of one side of a pair")
	flag.StringVar(&s.only, "only", "", "run this contender alone, such as kitmesh_client or sidecars")
	flag.StringVar(&s.markdown, "markdown", "", "write the table to this `file` too")
	flag.StringVar(&s.note, "note", "", "a sentence about this run for the Markdown table, such as what else ran on the machine")
	flag.StringVar(&s.profile, "allocprofile", "", "with -only: compare nothing, write the profile of the calls' allocations to this `file`")
	flag.StringVar(&s.cpu, "cpuprofile", "", "with -only: compare nothing, write where 32 callers spend their CPU time to this `file`")
	flag.Parse()
	if *quick {
		s.pairs, s.slice = 6, 100*time.Millisecond
	}
	exit(run(s))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(s settings) (err error) {
	if s.profile+s.cpu != "" && s.only == "" {
		return errors.New("-allocprofile and -cpuprofile need -only: the profile would mix the contenders")
	}
	profileNothingYet(s.profile)
	stopped := make(chan os.Signal, 1)
	signal.Notify(stopped, os.Interrupt, syscall.SIGTERM)

	fleet, err := startFleet()
	if err != nil {
		return err
	}
	defer fleet.stop()
	field, err := line(fleet, s.only)
	if err != nil {
		return err
	}
	defer field.close()

	switch {
	case s.profile != "":
		return profileAllocs(field.contenders[0], s.profile)
	case s.cpu != "":
		return profileCPU(field.contenders[0], s.cpu)
	}
	r := report{settings: s, begun: time.Now(), loadBefore: load()}
	if s.only != sidecarsArg {
		if r.rows, err = compare(field, s, stopped); err != nil {
			return err
		}
	}
	field.close() // the numbers below are about memory: make room
	if s.only == "" || s.only == sidecarsArg {
		if r.versus, r.without, err = compareSidecars(fleet, s, stopped); err != nil {
			return err
		}
	}
	if s.only == "" {
		if r.sizes, err = measureSizes(s); err != nil {
			return err
		}
	}
	return r.write(os.Stdout)
}
