package compose

import (
	"context"
	"fmt"
	"math"
	"syscall"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/kitmesh/kitmesh/infra/runner"
)

var _ runner.Holder = (*Fleet)(nil)

// Hold sends sig and has the stack's supervisor start the container again
// after d, in whole seconds, rather than at once. It returns when the container
// has ended.
//
// The wish travels in the restart policy, the one thing about a container that
// can be changed while it runs: on-failure:30 means down for 30 s. The engine
// itself never acts on it, as it restarts nothing that was killed by hand, and
// the supervisor puts the stack's own policy back.
func (f *Fleet) Hold(ctx context.Context, name string, sig syscall.Signal, d time.Duration) error {
	members, err := f.containers(ctx)
	if err != nil {
		return err
	}
	supervised := false
	for _, m := range members {
		supervised = supervised || m.service == "supervisor" && m.State == "running"
	}
	if !supervised {
		return fmt.Errorf("nobody would start %s again: the stack's supervisor does not run", name)
	}
	m, err := f.find(ctx, name)
	if err != nil {
		return err
	}
	if m.service == "supervisor" {
		return fmt.Errorf("nobody would start the supervisor again")
	}
	if err := f.setHold(ctx, m.ID, d); err != nil {
		return fmt.Errorf("keep %s down: %w", m.name(), err)
	}
	wait := f.engine.ContainerWait(ctx, m.ID, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	if err := f.Signal(ctx, name, sig); err != nil {
		return err
	}
	select {
	case <-wait.Result:
		return nil
	case err := <-wait.Error:
		return fmt.Errorf("wait for the end of %s: %w", m.name(), err)
	}
}

// setHold writes how long a container is to stay down; 0 puts the policy of
// docker-compose.yml back.
func (f *Fleet) setHold(ctx context.Context, id string, d time.Duration) error {
	policy := container.RestartPolicy{Name: container.RestartPolicyUnlessStopped}
	if d > 0 {
		policy = container.RestartPolicy{
			Name: container.RestartPolicyOnFailure, MaximumRetryCount: int(math.Ceil(d.Seconds())),
		}
	}
	_, err := f.engine.ContainerUpdate(ctx, id, client.ContainerUpdateOptions{RestartPolicy: &policy})
	return err
}

// holdOf reads how long a container is to stay down; 0 when nobody said.
func (f *Fleet) holdOf(ctx context.Context, id string) (time.Duration, error) {
	answer, err := f.engine.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return 0, err
	}
	host := answer.Container.HostConfig
	if host == nil || host.RestartPolicy.Name != container.RestartPolicyOnFailure {
		return 0, nil
	}
	return time.Duration(host.RestartPolicy.MaximumRetryCount) * time.Second, nil
}
