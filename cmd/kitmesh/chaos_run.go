package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kitmesh/kitmesh/cmd/internal/app"
	"github.com/kitmesh/kitmesh/infra/audit"
	"github.com/kitmesh/kitmesh/infra/chaos"
	"github.com/kitmesh/kitmesh/infra/chaos/action"
	"github.com/kitmesh/kitmesh/infra/chaos/live"
	"github.com/kitmesh/kitmesh/infra/chaos/report"
	"github.com/kitmesh/kitmesh/infra/chaos/watch"
	"github.com/kitmesh/kitmesh/infra/load"
	"github.com/kitmesh/kitmesh/infra/runner"
)

const chaosRunLong = `Run experiments by name or file, or all of ./experiments. Customers come at a steady rate:
a warm-up, a baseline, the fault, the recovery. Then everything is undone, the audit looks
for anything lost or done twice, and the verdict is printed.

A mesh that is up must be as the experiment says under mesh: where it is not, kitmesh says
which command starts one that is. --up starts a fresh isolated mesh for each experiment
and ends it afterwards; --stack mesh,stock does so for both stacks.

--scale 0.2 makes every phase a fifth as long, and the times of actions with them. The
fewer requests, the less is shown: each percentage comes with its bound. --again 2 makes a
run that could not tell again, twice at most; the last one counts. Ctrl-C, and
kitmesh chaos stop from elsewhere, undo what was done and end with the verdict aborted.

Exit code: that of the worst verdict: 0 held, 1 deviated (a probe is out of tolerance),
2 violated (the audit found something lost or doubled), 3 aborted (or it could not be
carried out), 4 inconclusive (the machine was too busy, or the baseline too noisy, to tell).
A wrong command line or file is 2, too, as with every command: it prints no verdict.`

const chaosRunExample = `  kitmesh chaos run kill-one --up
  kitmesh chaos run kill-one pause-one --up --stack mesh,stock --report chaos.html
  kitmesh chaos run my/own.yaml --scale 0.2 -o json`

// chaosFlags are those of chaos run.
type chaosFlags struct {
	up      bool
	stacks  []string
	scale   float64
	again   int
	report  string
	junit   string
	journal string
}

func newChaosRunCommand() *cobra.Command {
	var f chaosFlags
	cmd := &cobra.Command{
		Use: "run NAME|FILE|all ...", Short: "Run experiments", Long: chaosRunLong, Example: chaosRunExample,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			err := runChaos(cmd, f, args)
			if _, judged := errors.AsType[verdictError](err); err == nil || judged || isUsage(err) {
				return err
			}
			return verdictError{err, chaos.Aborted}
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.up, "up", false, "start a fresh isolated mesh for each experiment, and end it")
	flags.StringSliceVar(&f.stacks, "stack", []string{app.StackMesh}, "with --up: mesh, stock (go-kit's own rings), or mesh,stock")
	flags.Float64Var(&f.scale, "scale", 1, "makes the phases longer or shorter")
	flags.IntVar(&f.again, "again", 0, "make an inconclusive run again, at most so many times")
	flags.StringVar(&f.report, "report", "", "write the report into this HTML `file`")
	flags.StringVar(&f.junit, "junit", "", "write the verdicts as JUnit XML into this `file`")
	flags.StringVar(&f.journal, "journal", "", "write everything that was measured as JSON into this `file`")
	addOutput(cmd)
	return cmd
}

// verdictError ends kitmesh with the number of a verdict.
type verdictError struct {
	error
	verdict chaos.Verdict
}

func (v verdictError) Unwrap() error { return v.error }

func (f chaosFlags) check(cmd *cobra.Command) error {
	if !(f.scale > 0 && f.scale <= 1000) { // NaN is neither
		return usageErrorf("--scale is above 0 and at most 1000, not %g", f.scale)
	}
	if f.again < 0 || f.again > 100 {
		return usageErrorf("--again is 0 to 100, not %d", f.again)
	}
	for _, stack := range f.stacks {
		if stack != app.StackMesh && stack != app.StackStock {
			return usageErrorf("--stack is %s, %s or both, not %q", app.StackMesh, app.StackStock, stack)
		}
	}
	if cmd.Flags().Changed("stack") && !f.up {
		return usageErrorf("--stack goes with --up: a mesh that is up has its stack already")
	}
	if f.up && meshTarget(cmd) == "compose" {
		return usageErrorf("--up starts local meshes; containers are started with docker compose up")
	}
	return nil
}

func runChaos(cmd *cobra.Command, f chaosFlags, args []string) error {
	if err := f.check(cmd); err != nil {
		return err
	}
	experiments, err := findExperiments(cmd, args)
	if err != nil {
		return err
	}
	outputs, err := f.open()
	if err != nil {
		return err
	}
	var journals []chaos.Journal
	var failed []error
	for _, e := range experiments {
		e = e.Scale(f.scale)
		for _, stack := range f.stacks {
			j, err := untilConclusive(cmd, e, f, stack)
			if err != nil {
				failed = append(failed, fmt.Errorf("%s: %w", e.Name, err))
				if len(experiments)*len(f.stacks) > 1 { // else it is what kitmesh ends with
					fmt.Fprintf(cmd.ErrOrStderr(), "%s could not be run: %s\n", e.Name, oneLine(err))
				}
				continue
			}
			j.Command = f.repeats(e.Name, stack)
			journals = append(journals, j)
			if !wantJSON(cmd) {
				if err := j.WriteText(cmd.OutOrStdout()); err != nil {
					return err
				}
			}
		}
		if cmd.Context().Err() != nil {
			break
		}
	}
	if err := errors.Join(outputs.write(journals), conclude(cmd, f, journals)); err != nil {
		return err
	}
	return outcome(cmd, journals, failed)
}

// repeats is the command that runs an experiment again.
func (f chaosFlags) repeats(name, stack string) string {
	words := []string{"kitmesh chaos run", name}
	if f.up {
		words = append(words, "--up --stack", stack)
	}
	if f.scale != 1 {
		words = append(words, "--scale", fmt.Sprint(f.scale))
	}
	return strings.Join(words, " ")
}

// conclude prints what several runs came to, and where the report is.
func conclude(cmd *cobra.Command, f chaosFlags, journals []chaos.Journal) error {
	switch {
	case len(journals) == 0:
		return nil
	case wantJSON(cmd) && len(journals) == 1:
		return printJSON(cmd.OutOrStdout(), journals[0])
	case wantJSON(cmd):
		return printJSON(cmd.OutOrStdout(), journals)
	case len(journals) > 1:
		fmt.Fprintln(cmd.OutOrStdout())
		if err := chaos.WriteVerdicts(cmd.OutOrStdout(), journals); err != nil {
			return err
		}
	}
	if f.report != "" {
		fmt.Fprintf(cmd.OutOrStdout(), "\nthe report is in %s\n", f.report)
	}
	return nil
}

// outcome is nil if every hypothesis held.
func outcome(cmd *cobra.Command, journals []chaos.Journal, failed []error) error {
	worst := chaos.Worst(journals)
	switch {
	case cmd.Context().Err() != nil && worst != chaos.Violated:
		return verdictError{errors.New("aborted: ended by the user"), chaos.Aborted}
	case len(failed) > 0 && worst != chaos.Violated:
		return verdictError{errors.Join(failed...), chaos.Aborted}
	case worst == chaos.Held:
		return nil
	}
	var names []string
	for _, j := range journals {
		if j.Code() == worst {
			names = append(names, j.Name)
		}
	}
	return verdictError{fmt.Errorf("%s: %s", worst, strings.Join(slices.Compact(names), ", ")), worst}
}

// untilConclusive runs one experiment, and again where the run could not tell.
func untilConclusive(cmd *cobra.Command, e chaos.Experiment, f chaosFlags, stack string) (chaos.Journal, error) {
	for n := 0; ; n++ {
		j, err := runExperiment(cmd, e, f, stack)
		if err != nil || j.Code() != chaos.Inconclusive || n >= f.again || cmd.Context().Err() != nil {
			return j, err
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: inconclusive: %s; again\n", e.Name, j.Why)
	}
}

// runExperiment runs one experiment on the mesh that is up, or on its own.
func runExperiment(cmd *cobra.Command, e chaos.Experiment, f chaosFlags, stack string) (chaos.Journal, error) {
	if f.up {
		return onFreshMesh(cmd.Context(), e, stack, cmd.ErrOrStderr())
	}
	fleet, err := openFleet(cmd)
	if err != nil {
		return chaos.Journal{}, fmt.Errorf("%w (or let kitmesh chaos run --up start one)", err)
	}
	dir, err := chaosDir(cmd)
	if err != nil {
		return chaos.Journal{}, err
	}
	j, err := experiment(cmd.Context(), e, fleet, meshTarget(cmd), dir, cmd.ErrOrStderr())
	if _, ok := errors.AsType[*chaos.Misfit](err); ok {
		err = fmt.Errorf("%w; start one with kitmesh down, then kitmesh up --detach %s, or give --up", err, strings.Join(e.UpArgs(), " "))
	}
	return j, err
}

// settlePatience is for a mesh that has just come up.
const settlePatience = 30 * time.Second

// onFreshMesh starts the mesh an experiment is for, runs it there, and ends the
// mesh. Its logs stay until the next run.
func onFreshMesh(ctx context.Context, e chaos.Experiment, stack string, stderr io.Writer) (j chaos.Journal, err error) {
	name := "chaos-" + e.Name
	if stack != app.StackMesh {
		name += "-" + stack
	}
	if !validName(name) {
		name = "chaos"
	}
	if _, err := runner.Down(ctx, name, true); err != nil {
		return j, err
	}
	out := newNarrator(stderr)
	out.Progress("starting a mesh for " + e.Name)
	defer out.Done()
	args := append([]string{"up", "--name", name, "--detach", "--isolated", "--zipkin", "embedded", "--stack", stack}, e.UpArgs()...)
	defer func() {
		_, downErr := runner.Down(context.WithoutCancel(ctx), name, false)
		err = errors.Join(err, downErr)
	}()
	if _, err := runner.Detach(ctx, name, args, out); err != nil {
		return j, err
	}
	fleet, err := runner.Open(name)
	if err != nil {
		return j, err
	}
	if err := settle(ctx, fleet); err != nil {
		return j, err
	}
	dir, err := runner.ChaosDir(name)
	if err != nil {
		return j, err
	}
	out.Done()
	j, err = experiment(ctx, e, fleet, "local", dir, stderr)
	j.Zipkin = "" // ends with the mesh
	return j, err
}

// settle waits until Consul holds every instance for healthy.
func settle(ctx context.Context, fleet runner.Fleet) error {
	ctx, cancel := context.WithTimeout(ctx, settlePatience)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		state, err := fleet.State(ctx)
		if err != nil {
			return err
		}
		health, err := runner.Health(ctx, state.Consul)
		sick := ""
		for _, i := range state.Instances {
			if health[i.ID] != "passing" {
				sick = i.ID
			}
		}
		if err == nil && sick == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("the mesh does not get healthy: %s", sick), err)
		case <-tick.C:
		}
	}
}

// experiment runs e on a mesh.
func experiment(ctx context.Context, e chaos.Experiment, fleet runner.Fleet, target, dir string, stderr io.Writer) (j chaos.Journal, err error) {
	lab, err := action.Open(fleet, dir)
	if err != nil {
		return j, err
	}
	defer func() { err = errors.Join(err, lab.Close()) }()
	view := live.New(stderr, e)
	defer view.Close()
	return chaos.Run(ctx, e, chaos.Options{
		Fleet: fleet, Lab: experimentLab{lab}, Target: target, Dir: dir, View: view,
		Audit: func(ctx context.Context, told []load.History) (audit.Report, error) {
			state, err := fleet.State(ctx)
			if err != nil {
				return audit.Report{}, err
			}
			evidence, err := collect(ctx, state, audit.Sources{Histories: told, Waiting: view.Say})
			if err != nil {
				return audit.Report{}, err
			}
			return audit.Run(evidence), nil
		},
		Watch: func(ctx context.Context, began time.Time, seen func(int, map[string]chaos.ServiceSeconds, []string)) error {
			return watch.Run(ctx, watch.Options{Fleet: fleet, Began: began}, seen)
		},
	})
}

// experimentLab is an action.Lab as an experiment wants it.
type experimentLab struct{ *action.Lab }

func (l experimentLab) Start(ctx context.Context, s action.Spec, t action.Target, seed uint64, note func(action.Note)) (chaos.Running, error) {
	r, err := l.Lab.Start(ctx, s, t, seed, note)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// chaosOutputs are the files that a run writes at its end. They are made before
// it begins: nobody wants to hear after an hour that a folder is missing.
type chaosOutputs []struct {
	file  *os.File
	write func(io.Writer, []chaos.Journal) error
}

func (f chaosFlags) open() (outputs chaosOutputs, err error) {
	for _, o := range []struct {
		flag, name string
		write      func(io.Writer, []chaos.Journal) error
	}{
		{"--report", f.report, report.HTML},
		{"--junit", f.junit, chaos.WriteJUnit},
		{"--journal", f.journal, func(w io.Writer, journals []chaos.Journal) error { return printJSON(w, journals) }},
	} {
		if o.name == "" {
			continue
		}
		file, err := os.Create(o.name)
		if err != nil {
			return nil, usageErrorf("%s: %w", o.flag, err)
		}
		outputs = append(outputs, struct {
			file  *os.File
			write func(io.Writer, []chaos.Journal) error
		}{file, o.write})
	}
	return outputs, nil
}

func (outputs chaosOutputs) write(journals []chaos.Journal) error {
	var errs []error
	for _, o := range outputs {
		errs = append(errs, o.write(o.file, journals), o.file.Close())
	}
	return errors.Join(errs...)
}
