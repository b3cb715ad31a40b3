// Package ports fits the services to each other: what one needs, its ports,
// kept by the contracts of those it calls. Whether these are clients of other
// processes or the services themselves makes no difference here.
package ports
