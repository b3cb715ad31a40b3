package zipkin

// linkCases store one trace each and ask who calls whom in its second.
var linkCases = []contractCase{
	{"dependency parameters", []step{
		{path: "/api/v2/dependencies", status: 400, want: "Mandatory parameter/header/attribute is missing: endTs"},
		{path: "/api/v2/dependencies?endTs=", status: 400, want: "Cannot set null to primitive type parameter: endTs"},
		{path: "/api/v2/dependencies?endTs=0", status: 400, want: "endTs <= 0"},
		{path: "/api/v2/dependencies?endTs=1&lookback=0", status: 400, want: "lookback <= 0"},
		{path: "/api/v2/dependencies?endTs=x", status: 400, want: `For input string: "x"`},
		{path: "/api/v2/dependencies?endTs=@999&lookback=999", status: 200, want: `[]`},
	}},
	links("client and server of one id", `[
		{"traceId":"~","id":"1","kind":"CLIENT","timestamp":@000001,"localEndpoint":{"serviceName":"a"},"remoteEndpoint":{"serviceName":"wrong"}},
		{"traceId":"~","id":"1","kind":"SERVER","shared":true,"timestamp":@000002,"localEndpoint":{"serviceName":"b"}}]`,
		`[{"parent":"a","child":"b","callCount":1}]`),
	links("a server that forgot to say shared", `[
		{"traceId":"~","id":"1","kind":"CLIENT","timestamp":@000001,"localEndpoint":{"serviceName":"a"}},
		{"traceId":"~","id":"1","kind":"SERVER","timestamp":@000002,"localEndpoint":{"serviceName":"b"},"tags":{"error":""}}]`,
		`[{"parent":"a","child":"b","callCount":1,"errorCount":1}]`),
	links("ids of their own", `[
		{"traceId":"~","id":"1","kind":"SERVER","timestamp":@000001,"localEndpoint":{"serviceName":"front"}},
		{"traceId":"~","parentId":"1","id":"2","kind":"CLIENT","timestamp":@000002,"localEndpoint":{"serviceName":"front"},"tags":{"error":"x"}},
		{"traceId":"~","parentId":"2","id":"3","kind":"SERVER","timestamp":@000003,"localEndpoint":{"serviceName":"back"}}]`,
		`[{"parent":"front","child":"back","callCount":1,"errorCount":1}]`),
	links("an instance that died before it reported", `[
		{"traceId":"~","id":"1","kind":"SERVER","timestamp":@000001,"localEndpoint":{"serviceName":"front"}},
		{"traceId":"~","parentId":"1","id":"2","kind":"CLIENT","timestamp":@000002,"localEndpoint":{"serviceName":"front"},"remoteEndpoint":{"serviceName":"dead"},"tags":{"error":"x"}},
		{"traceId":"~","parentId":"1","id":"3","kind":"CLIENT","timestamp":@000003,"localEndpoint":{"serviceName":"front"}}]`,
		`[{"parent":"front","child":"dead","callCount":1,"errorCount":1}]`),
	links("local work between", `[
		{"traceId":"~","id":"1","kind":"SERVER","timestamp":@000001,"localEndpoint":{"serviceName":"front"}},
		{"traceId":"~","parentId":"1","id":"2","timestamp":@000002,"localEndpoint":{"serviceName":"front"}},
		{"traceId":"~","parentId":"2","id":"3","timestamp":@000003},
		{"traceId":"~","parentId":"3","id":"4","kind":"SERVER","timestamp":@000004,"localEndpoint":{"serviceName":"back"}},
		{"traceId":"~","parentId":"4","id":"5","timestamp":@000005,"localEndpoint":{"serviceName":"back"},"remoteEndpoint":{"serviceName":"db"}}]`,
		`[{"parent":"front","child":"back","callCount":1},{"parent":"back","child":"db","callCount":1}]`),
	links("messages", `[
		{"traceId":"~","id":"1","kind":"PRODUCER","timestamp":@000001,"localEndpoint":{"serviceName":"orders"},"remoteEndpoint":{"serviceName":"nats"}},
		{"traceId":"~","parentId":"1","id":"2","kind":"CONSUMER","timestamp":@000002,"localEndpoint":{"serviceName":"shipping"},"remoteEndpoint":{"serviceName":"nats"},"tags":{"error":"x"}},
		{"traceId":"~","parentId":"1","id":"3","kind":"CONSUMER","timestamp":@000003,"localEndpoint":{"serviceName":"nobody"}},
		{"traceId":"~","parentId":"2","id":"4","kind":"PRODUCER","timestamp":@000004,"localEndpoint":{"serviceName":"shipping"}}]`,
		`[{"parent":"orders","child":"nats","callCount":1},{"parent":"nats","child":"shipping","callCount":1,"errorCount":1}]`),
	links("a root that names its caller", `[
		{"traceId":"~","id":"1","kind":"SERVER","timestamp":@000001,"localEndpoint":{"serviceName":"b"},"remoteEndpoint":{"serviceName":"a"}}]`,
		`[{"parent":"a","child":"b","callCount":1}]`),
	links("no root", `[
		{"traceId":"~","parentId":"9","id":"1","kind":"SERVER","timestamp":@000001,"localEndpoint":{"serviceName":"b"},"remoteEndpoint":{"serviceName":"a"}},
		{"traceId":"~","parentId":"9","id":"2","kind":"CLIENT","timestamp":@000002,"localEndpoint":{"serviceName":"c"},"remoteEndpoint":{"serviceName":"d"}},
		{"traceId":"~","parentId":"8","id":"3","kind":"SERVER","timestamp":@000003,"localEndpoint":{"serviceName":"e"}}]`,
		`[{"parent":"a","child":"b","callCount":1},{"parent":"c","child":"d","callCount":1}]`),
	links("two roots", `[
		{"traceId":"~","id":"1","kind":"SERVER","timestamp":@000001,"localEndpoint":{"serviceName":"a"}},
		{"traceId":"~","id":"2","kind":"SERVER","timestamp":@000002,"localEndpoint":{"serviceName":"b"}},
		{"traceId":"~","parentId":"7","id":"3","kind":"SERVER","timestamp":@000003,"localEndpoint":{"serviceName":"c"}}]`,
		`[{"parent":"a","child":"b","callCount":1},{"parent":"a","child":"c","callCount":1}]`),
	links("a hop nobody reported", `[
		{"traceId":"~","id":"1","kind":"SERVER","timestamp":@000001,"localEndpoint":{"serviceName":"a"}},
		{"traceId":"~","parentId":"1","id":"2","kind":"CLIENT","timestamp":@000002,"localEndpoint":{"serviceName":"b"},"remoteEndpoint":{"serviceName":"c"},"tags":{"error":"x"}}]`,
		`[{"parent":"a","child":"b","callCount":1},{"parent":"b","child":"c","callCount":1,"errorCount":1}]`),
	links("two servers answer one client", `[
		{"traceId":"~","id":"1","kind":"CLIENT","timestamp":@000001,"localEndpoint":{"serviceName":"a"}},
		{"traceId":"~","id":"1","kind":"SERVER","shared":true,"timestamp":@000002,"localEndpoint":{"serviceName":"b","ipv4":"10.0.0.1"}},
		{"traceId":"~","id":"1","kind":"SERVER","shared":true,"timestamp":@000003,"localEndpoint":{"serviceName":"b","ipv4":"10.0.0.2"}},
		{"traceId":"~","parentId":"1","id":"2","kind":"CLIENT","timestamp":@000004,"localEndpoint":{"serviceName":"b","ipv4":"10.0.0.2"},"remoteEndpoint":{"serviceName":"c"}}]`,
		`[{"parent":"a","child":"b","callCount":2},{"parent":"b","child":"c","callCount":1}]`),
	links("a span in two pieces", `[
		{"traceId":"~","id":"1","kind":"CLIENT","timestamp":@000001,"localEndpoint":{"serviceName":"a"}},
		{"traceId":"~","id":"1","localEndpoint":{"ipv4":"1.1.1.1"},"remoteEndpoint":{"serviceName":"b"}},
		{"traceId":"~","id":"1","tags":{"error":""}}]`,
		`[{"parent":"a","child":"b","callCount":1,"errorCount":1}]`),
	links("a shared span without its client, and ids of 128 bits", `[
		{"traceId":"f00000000000000000000000~","id":"1","parentId":"5","kind":"SERVER","shared":true,"timestamp":@000001,"localEndpoint":{"serviceName":"b"},"remoteEndpoint":{"serviceName":"a"}},
		{"traceId":"000000000000~","id":"2","parentId":"1","kind":"CLIENT","timestamp":@000002,"localEndpoint":{"serviceName":"b"},"remoteEndpoint":{"serviceName":"c"}}]`,
		`[{"parent":"a","child":"b","callCount":1},{"parent":"b","child":"c","callCount":1}]`),
	links("a circle", `[
		{"traceId":"~","parentId":"2","id":"1","kind":"CLIENT","timestamp":@000001,"localEndpoint":{"serviceName":"a"},"remoteEndpoint":{"serviceName":"b"}},
		{"traceId":"~","parentId":"1","id":"2","kind":"CLIENT","timestamp":@000002,"localEndpoint":{"serviceName":"b"},"remoteEndpoint":{"serviceName":"a"}}]`,
		`[]`),
	links("only some in time", `[
		{"traceId":"1~","id":"1","kind":"CLIENT","timestamp":@999999,"localEndpoint":{"serviceName":"a"},"remoteEndpoint":{"serviceName":"b"}},
		{"traceId":"2~","id":"1","kind":"CLIENT","localEndpoint":{"serviceName":"a"},"remoteEndpoint":{"serviceName":"never"}}]`,
		`[{"parent":"a","child":"b","callCount":1}]`),
}

// links stores a body and compares the dependencies of its second.
func links(name, body, want string) contractCase {
	return contractCase{"links: " + name, []step{
		{path: "/api/v2/spans", body: body, status: 202},
		{path: "/api/v2/dependencies?endTs=@999&lookback=999", status: 200, want: want},
	}}
}
