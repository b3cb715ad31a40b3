package zipkin

const pb = "Content-Type: application/x-protobuf"

// collectCases are about requests as such: formats, bodies, paths, methods.
var collectCases = []contractCase{
	{"nothing to store", []step{
		{method: "POST", path: "/api/v2/spans", status: 202},
		{path: "/api/v2/spans", body: "[]", status: 202},
		{path: "/api/v2/spans", body: "[ ]", status: 202},
		{path: "/api/v2/spans", body: "[]", header: pb, status: 202},
	}},
	{"not a list", []step{
		{path: "/api/v2/spans", body: " []", status: 400, want: "Expected a JSON_V2 encoded list\n"},
		{path: "/api/v2/spans", body: "{}", status: 400, want: "Expected a JSON_V2 encoded list\n"},
		{path: "/api/v2/spans", body: "x", status: 400, want: "Expected a JSON_V2 encoded list\n"},
		{path: "/api/v2/spans", body: "x", header: pb, status: 400, want: "Expected a PROTO3 encoded list\n"},
		{path: "/api/v2/spans", body: `[{"traceId":"1","id":"1","binaryAnnotations":[]}]`, status: 400,
			want: "Expected a JSON_V2 encoded list, but received: JSON_V1\n"},
	}},
	{"gzip", []step{
		{path: "/api/v2/spans", body: `[{"traceId":"~","id":"1","tags":{"a":"b"}}]`, gzip: true, status: 202},
		{path: "/api/v2/trace/~", status: 200, want: `[{"traceId":"000000000000~","id":"0000000000000001","tags":{"a":"b"}}]`},
		{path: "/api/v2/spans", body: "no gzip", header: "Content-Encoding: gzip", status: 400, want: "Cannot gunzip spans"},
		{path: "/api/v2/spans", body: "[]", gzip: true, status: 202},
	}},
	{"content types", []step{
		{path: "/api/v2/spans", body: `[{"traceId":"~","id":"1"}]`, header: "Content-Type: text/plain", status: 202},
		{path: "/api/v2/spans", body: `[{"traceId":"~","id":"2"}]`, header: "Content-Type: application/json, charset=utf-8", status: 202},
		{path: "/api/v2/spans", body: `[{"traceId":"~","id":"3"}]`, header: "Content-Type: application/xml", status: 202},
		{path: "/api/v2/trace/~", status: 200, want: `[{"traceId":"000000000000~","id":"0000000000000001"},
			{"traceId":"000000000000~","id":"0000000000000002"},{"traceId":"000000000000~","id":"0000000000000003"}]`},
	}},
	{"all or nothing", []step{
		{path: "/api/v2/spans", body: `[{"traceId":"~","id":"1"},{"traceId":"~"}]`, status: 400,
			want: "Missing : id reading List<Span> from json"},
		{path: "/api/v2/trace/~", status: 404, want: "000000000000~ not found"},
	}},
	{"paths and methods", []step{
		{path: "/api/v2/nope", status: 404, want: "404 Not Found"},
		{path: "/api/v2/trace/", status: 404, want: "404 Not Found"},
		{method: "POST", path: "/api/v2/services", status: 404, want: "404 Not Found"},
		{method: "DELETE", path: "/api/v2/spans", status: 404, want: "404 Not Found"},
		{method: "HEAD", path: "/api/v2/services", status: 404},
		{method: "OPTIONS", path: "/api/v2/spans", header: "Origin: http://a.test;Access-Control-Request-Method: POST", status: 200},
		{path: "/health", status: 200, want: `{"status":"UP","zipkin":{"status":"UP","details":{"InMemoryStorage{}":{"status":"UP"}}}}`},
		{path: "/info", status: 200, want: "*"},
		{path: "/metrics", status: 200, want: "*"},
		{path: "/prometheus", status: 200, want: "*"},
	}},
}

// decodeCases post one span each and look at it, or at the reason why not.
func decodeCases() []contractCase {
	const (
		structure = "\nSee https://github.com/google/gson/blob/main/Troubleshooting.md#unexpected-json-structure"
		null      = "\nSee https://github.com/google/gson/blob/main/Troubleshooting.md#adapter-not-null-safe"
	)
	var cases []contractCase
	for _, c := range []struct{ in, out string }{
		// What comes after the ids, and what of it comes back.
		{``, ``},
		{`"id":"2"`, `!duplicate`},
		{`"name":"GET /A","kind":"SERVER"`, `"kind":"SERVER","name":"get /a"`},
		{`"name":""`, ``},
		{`"name":5`, `"name":"5"`},
		{`"name":null,"kind":null,"tags":null,"annotations":null,"localEndpoint":null,"timestamp":null,"debug":null`, ``},
		{`"parentId":"0"`, ``},
		{`"parentId":"1"`, ``},
		{`"parentId":"a"`, `"parentId":"000000000000000a"`},
		{`"timestamp":5,"duration":7`, `"timestamp":5,"duration":7`},
		{`"timestamp":-5,"duration":-1`, ``},
		{`"timestamp":"5","duration":1e3`, `"timestamp":5,"duration":1000`},
		{`"timestamp":0,"duration":0`, ``},
		{`"debug":true,"shared":true`, `"debug":true,"shared":true`},
		{`"debug":false,"shared":false`, ``},
		{`"shared":true,"kind":"CLIENT"`, `"kind":"CLIENT"`},
		{`"shared":true,"kind":"SERVER"`, `"kind":"SERVER","shared":true`},
		{`"localEndpoint":{}`, ``},
		{`"localEndpoint":{"serviceName":""}`, ``},
		{`"localEndpoint":{"serviceName":"DB"},"remoteEndpoint":{"serviceName":"Ünïcode"}`,
			`"localEndpoint":{"serviceName":"db"},"remoteEndpoint":{"serviceName":"ünïcode"}`},
		{`"localEndpoint":{"port":-1}`, ``},
		{`"localEndpoint":{"port":"80","ipv4":"1.2.3.400","ipv6":"2001:DB8:0:0::1"}`, `"localEndpoint":{"ipv6":"2001:db8::1","port":80}`},
		{`"localEndpoint":{"ipv4":"::1","ipv6":"1.2.3.4"}`, `"localEndpoint":{"ipv4":"1.2.3.4","ipv6":"::1"}`},
		{`"localEndpoint":{"ipv6":"::ffff:1.2.3.4"}`, `"localEndpoint":{"ipv4":"1.2.3.4"}`},
		{`"localEndpoint":{"ipv6":"::"}`, `"localEndpoint":{"ipv6":"::"}`},
		{`"localEndpoint":{"ipv6":"2001:db8:0:1:1:1:1:1"}`, `"localEndpoint":{"ipv6":"2001:db8::1:1:1:1:1"}`},
		{`"localEndpoint":{"ipv6":"fe80::1%eth0"}`, ``},
		{`"localEndpoint":{"ipv4":"localhost","x":[{}]}`, ``},
		{`"annotations":[{"timestamp":2,"value":"b"},{"value":"a","timestamp":2},{"timestamp":1,"value":"z"},{"timestamp":2,"value":"b"}]`,
			`"annotations":[{"timestamp":1,"value":"z"},{"timestamp":2,"value":"a"},{"timestamp":2,"value":"b"}]`},
		{`"annotations":[]`, ``},
		{`"tags":{"b":"2","a":"1","b":"3","":"x"}`, `"tags":{"":"x","a":"1","b":"3"}`},
		{`"tags":{"n":1,"e":""}`, `"tags":{"e":"","n":"1"}`},
		{`"tags":{"\u2028\ud83d\ude00\u0007":"<\"\\\/\n\t>"}`, `"tags":{"\u2028😀\u0007":"<\"\\/\n\t>"}`},
		{`"unknown":{"a":[1,{"b":null,"c":"d"}],"t":true},"more":[]`, ``},
		{`"kind":"FOO"`, `!No enum constant zipkin2.Span.Kind.FOO`},
		{`"kind":"server"`, `!No enum constant zipkin2.Span.Kind.server`},
		{`"parentId":""`, `!parentId is empty`},
		{`"parentId":"xyz"`, `!xyz should be lower-hex encoded with no prefix`},
		{`"parentId":"11111111111111111"`, `!parentId.length > 16`},
		{`"localEndpoint":{"port":70000}`, `!invalid port 70000`},
		{`"localEndpoint":{"port":"x"}`, `!For input string: "x"`},
		{`"localEndpoint":[]`, `!Malformed`},
		{`"timestamp":"x"`, `!For input string: "x"`},
		{`"timestamp":1.5`, `!Expected a long but was 1.5 at line 1 column 44 path $[0].timestamp`},
		{`"timestamp":99999999999999999999`, `!Expected a long but was 99999999999999999999 at line 1 column 61 path $[0].timestamp`},
		{`"tags":{"a":null}`, `!No value at $[0].tags.a`},
		{`"tags":{"a":true}`, `!Expected a string but was BOOLEAN at line 1 column 45 path $[0].tags.a` + structure},
		{`"tags":{"a":{}}`, `!Expected a string but was BEGIN_OBJECT at line 1 column 42 path $[0].tags.a` + structure},
		{`"tags":[]`, `!Malformed`},
		{`"shared":"true"`, `!Expected a boolean but was STRING at line 1 column 39 path $[0].shared` + structure},
		{`"annotations":[{}]`, `!Incomplete annotation at $[0].annotations[0].`},
		{`"annotations":[{"timestamp":1,"value":null}]`, `!Expected a string but was NULL at line 1 column 71 path $[0].annotations[0].value` + null},
		{`"annotations":[{"timestamp":null}]`, `!Expected a long but was NULL at line 1 column 61 path $[0].annotations[0].timestamp` + null},
		{`"annotations":{}`, `!Malformed`},
		{`"tags":{"a":"b"`, `!Malformed`},
		{`"tags":{"a":"b`, `!Malformed`},
		{`"tags":{a:"b"}`, `!Malformed`},
		{`'tags':{}`, `!Malformed`},
		{`"tags":{"a":"\x"}`, `!Malformed`},
		{`"tags":{},`, `!Malformed`},
		{`"name":01`, `!Malformed`},
		{`"name":NaN`, `!Malformed`},
	} {
		head := `{"traceId":"~","id":"1"`
		body := head
		if c.in != "" {
			body += "," + c.in
		}
		s := contractCase{name: "span " + c.in}
		if c.out == "!duplicate" { // the last one counts
			s.steps = []step{
				{path: "/api/v2/spans", body: "[" + body + "}]", status: 202},
				{path: "/api/v2/trace/~", status: 200, want: `[{"traceId":"000000000000~","id":"0000000000000002"}]`},
			}
		} else if c.out != "" && c.out[0] == '!' {
			s.steps = []step{{path: "/api/v2/spans", body: "[" + body + "}]", status: 400, want: c.out[1:] + " reading List<Span> from json"}}
		} else {
			out := `[{"traceId":"000000000000~","id":"0000000000000001"`
			if c.out != "" {
				out += "," + c.out
			}
			s.steps = []step{
				{path: "/api/v2/spans", body: "[" + body + "}]", status: 202},
				{path: "/api/v2/trace/~", status: 200, want: out + "}]"},
			}
		}
		cases = append(cases, s)
	}
	return append(cases, idCases()...)
}

// idCases are about ids and the list around the spans.
func idCases() []contractCase {
	var cases []contractCase
	for _, c := range []struct{ body, want string }{
		{`[{}]`, "Missing : traceId id"},
		{`[{"traceId":"1"}]`, "Missing : id"},
		{`[{"id":"1"}]`, "Missing : traceId"},
		{`[{"traceId":"AB","id":"1"}]`, "AB should be lower-hex encoded with no prefix"},
		{`[{"traceId":"0","id":"1"}]`, "traceId is all zeros"},
		{`[{"traceId":"","id":"1"}]`, "traceId is empty"},
		{`[{"traceId":"111111111111111111111111111111111","id":"1"}]`, "traceId.length > 32"},
		{`[{"traceId":"1","id":""}]`, "id is empty"},
		{`[{"traceId":"1","id":"0000000000000000"}]`, "id is all zeros"},
		{`[{"traceId":"1","id":"11111111111111111"}]`, "id.length > 16"},
		{`[{"traceId":"1","id":"g"}]`, "g should be lower-hex encoded with no prefix"},
		{`[1]`, "Malformed"}, {`[null]`, "Malformed"}, {`[[]]`, "Malformed"},
		{`[{"traceId":"1","id":"1"},]`, "Malformed"},
		{`[{"traceId":"1","id":"1"} {}]`, "Malformed"},
		{`[{"traceId":"1","id":"1"}`, "End of input at line 1 column 26 path $[1]"},
		{`[`, "End of input at line 1 column 2 path $[0]"},
	} {
		cases = append(cases, contractCase{name: "list " + c.body, steps: []step{
			{path: "/api/v2/spans", body: c.body, status: 400, want: c.want + " reading List<Span> from json"},
		}})
	}
	return append(cases, contractCase{"ids of every length", []step{
		{path: "/api/v2/spans", body: `[{"traceId":"~","id":"2"},{"traceId":"a100000000000~","id":"1"},{"traceId":"0000000000000000000000000000~","id":"3"},{"traceId":"~","id":"0"}] and more`, status: 202},
		{path: "/api/v2/trace/~", status: 200, want: `[{"traceId":"000000000000~","id":"0000000000000002"},
			{"traceId":"000000000000~","id":"0000000000000003"},{"traceId":"000000000000~","id":"0000000000000000"}]`},
		{path: "/api/v2/trace/a100000000000~", status: 200, want: `[{"traceId":"000000000000000a100000000000~","id":"0000000000000001"}]`},
		{path: "/api/v2/trace/b100000000000~", status: 404, want: "000000000000000b100000000000~ not found"},
		{path: "/api/v2/trace/zz", status: 400, want: "zz should be lower-hex encoded with no prefix"},
		{path: "/api/v2/trace/0", status: 400, want: "traceId is all zeros"},
		{path: "/api/v2/trace/111111111111111111111111111111111", status: 400, want: "traceId.length > 32"},
	}})
}
