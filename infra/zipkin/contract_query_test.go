package zipkin

// protoCases post protobuf. Its bodies are taken as they are.
var protoCases = []contractCase{
	{"proto3 span", []step{
		{path: "/api/v2/spans", header: pb, status: 202, body: "\x0a\x6c" +
			"\x0a\x04\xbe\xef\x00\x01" + "\x1a\x08\x00\x00\x00\x00\x00\x00\x00\x0d" + "\x12\x01\x0c" + "\x20\x02" + // ids, SERVER
			"\x2a\x03GeT" + "\x31\x05\x00\x00\x00\x00\x00\x00\x00" + "\x38\x96\x01" + // name, time, duration
			"\x42\x0c\x0a\x02DB\x12\x04\x01\x02\x03\x04\x20\x50" + // local endpoint
			"\x4a\x14\x1a\x10\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x20\x00" + // remote endpoint
			"\x52\x0c\x09\x02\x00\x00\x00\x00\x00\x00\x00\x12\x01z" + // annotation
			"\x5a\x04\x0a\x02ok" + "\x5a\x06\x0a\x01a\x12\x01b" + "\x60\x01" + "\x68\x01" + "\x70\x01"}, // tags, flags, unknown
		{path: "/api/v2/trace/beef0001", status: 200, want: `[{"traceId":"00000000beef0001","parentId":"000000000000000c","id":"000000000000000d",
			"kind":"SERVER","name":"get","timestamp":5,"duration":150,"localEndpoint":{"serviceName":"db","ipv4":"1.2.3.4","port":80},
			"remoteEndpoint":{"ipv6":"2001:db8::1"},"annotations":[{"timestamp":2,"value":"z"}],"tags":{"a":"b","ok":""},"debug":true,"shared":true}]`},
	}},
	{"proto3 that is none", []step{
		{path: "/api/v2/spans", header: pb, body: "\x0a\x02\x08\x01", status: 400, want: "Missing : traceId id reading List<Span> from proto3"},
		{path: "/api/v2/spans", header: pb, body: "\x0a\x50\x08\x01", status: 400, want: "Truncated: length 80 > bytes available 2 reading List<Span> from proto3"},
		{path: "/api/v2/spans", header: pb, body: `[{"traceId":"1","id":"c","tags":{}}]`, status: 400,
			want: "Truncated: length 123 > bytes available 34 reading List<Span> from proto3"},
	}},
}

// queryCases store some traces and ask for them in every way there is.
var queryCases = []contractCase{
	{"names", []step{
		{path: "/api/v2/spans", status: 202, body: `[
			{"traceId":"~","id":"1","name":"Get","localEndpoint":{"serviceName":"A~"},"remoteEndpoint":{"serviceName":"c~"}},
			{"traceId":"~","id":"2","name":"b","localEndpoint":{"serviceName":"a~"},"remoteEndpoint":{"serviceName":"b~"}},
			{"traceId":"~","id":"3","localEndpoint":{"serviceName":"b~"}},
			{"traceId":"~","id":"4","name":"lost","remoteEndpoint":{"serviceName":"lost~"}}]`},
		{path: "/api/v2/services", status: 200, want: "*"},
		{path: "/api/v2/spans?serviceName=a~", status: 200, want: `["b","get"]`},
		{path: "/api/v2/spans?serviceName=A~", status: 200, want: `["b","get"]`},
		{path: "/api/v2/spans?serviceName=b~", status: 200, want: `[]`},
		{path: "/api/v2/spans?serviceName=nope", status: 200, want: `[]`},
		{path: "/api/v2/spans?serviceName=", status: 200, want: `[]`},
		{path: "/api/v2/spans", status: 400, want: "Mandatory parameter/header/attribute is missing: serviceName"},
		{path: "/api/v2/remoteServices?serviceName=a~", status: 200, want: `["b~","c~"]`},
		{path: "/api/v2/remoteServices?serviceName=lost~", status: 200, want: `[]`},
		{path: "/api/v2/remoteServices?serviceName=nope", status: 200, want: `[]`},
		{path: "/api/v2/remoteServices", status: 400, want: "Mandatory parameter/header/attribute is missing: serviceName"},
	}},
	{"autocomplete", []step{
		{path: "/api/v2/spans", status: 202, body: `[{"traceId":"~","id":"1","tags":{"env":"prod~","other":"x"}},{"traceId":"~","id":"2","tags":{"env":"dev~","instance":"a-1"}}]`},
		{path: "/api/v2/autocompleteKeys", status: 200, want: `["env","instance"]`},
		{path: "/api/v2/autocompleteValues?key=env", status: 200, want: `["dev~","prod~"]`},
		{path: "/api/v2/autocompleteValues?key=instance", status: 200, want: `["a-1"]`},
		{path: "/api/v2/autocompleteValues?key=other", status: 200, want: `[]`},
		{path: "/api/v2/autocompleteValues?key=", status: 400, want: "key was empty"},
		{path: "/api/v2/autocompleteValues", status: 400, want: "Mandatory parameter/header/attribute is missing: key"},
	}},
	{"trace parameters", []step{
		{path: "/api/v2/traces?limit=0", status: 400, want: "limit <= 0"},
		{path: "/api/v2/traces?endTs=0", status: 400, want: "endTs <= 0"},
		{path: "/api/v2/traces?lookback=0", status: 400, want: "lookback <= 0"},
		{path: "/api/v2/traces?minDuration=0", status: 400, want: "minDuration <= 0"},
		{path: "/api/v2/traces?minDuration=5&maxDuration=1", status: 400, want: "maxDuration < minDuration"},
		{path: "/api/v2/traces?maxDuration=1", status: 400, want: "maxDuration is only valid with minDuration"},
		{path: "/api/v2/traces?limit=abc", status: 400, want: `For input string: "abc"`},
		{path: "/api/v2/traces?endTs=x&lookback=y", status: 400, want: `For input string: "x"`},
		{path: "/api/v2/traces?limit=99999999999", status: 400, want: "*"},
		{path: "/api/v2/traces?minDuration=&endTs=&serviceName=nope", status: 200, want: `[]`},
		{path: "/api/v2/traces?limit=", status: 400, want: "Cannot set null to primitive type parameter: limit"},
		{path: "/api/v2/traces?limit=%2B5&limit=x&serviceName=nope", status: 200, want: `[]`},
		{path: "/api/v2/traces?endTs=9223372036854775807&lookback=1&serviceName=nope", status: 200, want: `[]`},
		{path: "/api/v2/traces?endTs=1&lookback=9223372036854775807&serviceName=nope", status: 200, want: `[]`},
		{path: "/api/v2/traces?serviceName=nope", status: 200, want: `[]`},
	}},
	{"many traces", []step{
		{path: "/api/v2/spans", status: 202, body: `[{"traceId":"a~","id":"1"},{"traceId":"b~","id":"2"},{"traceId":"c~","id":"3"}]`},
		{path: "/api/v2/traceMany?traceIds=a~,b~,d~", status: 200, want: `[[{"traceId":"00000000000a~","id":"0000000000000001"}],[{"traceId":"00000000000b~","id":"0000000000000002"}]]`},
		{path: "/api/v2/traceMany?traceIds=d~,e~", status: 200, want: `[]`},
		{path: "/api/v2/traceMany?traceIds=a~", status: 400, want: "Use /api/v2/trace/{traceId} endpoint to retrieve a single trace"},
		{path: "/api/v2/traceMany?traceIds=a~,a~", status: 400, want: "redundant traceId: a~"},
		{path: "/api/v2/traceMany?traceIds=a~,zz", status: 400, want: "zz should be lower-hex encoded with no prefix"},
		{path: "/api/v2/traceMany?traceIds=a~,,b~", status: 400, want: "traceId is empty"},
		{path: "/api/v2/traceMany?traceIds=", status: 400, want: "traceIds parameter is empty"},
		{path: "/api/v2/traceMany", status: 400, want: "Mandatory parameter/header/attribute is missing: traceIds"},
	}},
	{"the same span twice", []step{
		{path: "/api/v2/spans", status: 202, body: `[{"traceId":"~","id":"1","tags":{"a":"1","b":"2"}}]`},
		{path: "/api/v2/spans", status: 202, body: `[{"id":"0001","tags":{"b":"2","a":"1"},"traceId":"00~"},{"traceId":"~","id":"1","tags":{"a":"1"}}]`},
		{path: "/api/v2/trace/~", status: 200, want: `[{"traceId":"000000000000~","id":"0000000000000001","tags":{"a":"1","b":"2"}},{"traceId":"000000000000~","id":"0000000000000001","tags":{"a":"1"}}]`},
	}},
	{"search", searchSteps()},
	{"one lower half of ids", []step{
		{path: "/api/v2/spans", status: 202, body: `[
			{"traceId":"100000000000~","id":"1","timestamp":@000001,"localEndpoint":{"serviceName":"s~"}},
			{"traceId":"a100000000000~","id":"2","timestamp":@000002,"localEndpoint":{"serviceName":"s~"}},
			{"traceId":"b100000000000~","id":"3","timestamp":@000003,"localEndpoint":{"serviceName":"other~"}}]`},
		{path: "/api/v2/traces?serviceName=s~&endTs=@999&lookback=5000", status: 200, want: `[
			[{"traceId":"100000000000~","id":"0000000000000001","timestamp":@000001,"localEndpoint":{"serviceName":"s~"}}],
			[{"traceId":"000000000000000a100000000000~","id":"0000000000000002","timestamp":@000002,"localEndpoint":{"serviceName":"s~"}}]]`},
		{path: "/api/v2/trace/b100000000000~", status: 200, want: `[{"traceId":"000000000000000b100000000000~","id":"0000000000000003","timestamp":@000003,"localEndpoint":{"serviceName":"other~"}}]`},
		{path: "/api/v2/trace/c100000000000~", status: 404, want: "000000000000000c100000000000~ not found"},
	}},
}

// searchSteps store five traces (1 to 5) and find subsets of them.
func searchSteps() []step {
	const post = `[
	{"traceId":"1~","id":"1","name":"get","timestamp":@000000,"duration":100,"localEndpoint":{"serviceName":"x~"},"tags":{"a":"b","error":"boom"}},
	{"traceId":"2~","id":"1","name":"get","timestamp":@001000,"duration":200,"localEndpoint":{"serviceName":"x~"},"remoteEndpoint":{"serviceName":"y~"}},
	{"traceId":"2~","parentId":"1","id":"2","name":"put","timestamp":@002000,"duration":50,"localEndpoint":{"serviceName":"y~"},"tags":{"a":"b=c and d","http.path":"/a"}},
	{"traceId":"3~","id":"1","name":"put","timestamp":@003000,"localEndpoint":{"serviceName":"x~"},"annotations":[{"timestamp":@003001,"value":"foo"}],"tags":{"x":"foo"}},
	{"traceId":"4~","parentId":"9","id":"1","name":"del","timestamp":@500000,"duration":1,"localEndpoint":{"serviceName":"z~"}},
	{"traceId":"4~","parentId":"9","id":"2","name":"del","timestamp":@004000,"duration":1,"localEndpoint":{"serviceName":"x~"},"remoteEndpoint":{"serviceName":"q~"}},
	{"traceId":"5~","id":"1","name":"late","duration":5,"localEndpoint":{"serviceName":"x~"}}]`
	spans := map[byte]string{
		'1': `[{"traceId":"000000000001~","id":"0000000000000001","name":"get","timestamp":@000000,"duration":100,"localEndpoint":{"serviceName":"x~"},"tags":{"a":"b","error":"boom"}}]`,
		'2': `[{"traceId":"000000000002~","id":"0000000000000001","name":"get","timestamp":@001000,"duration":200,"localEndpoint":{"serviceName":"x~"},"remoteEndpoint":{"serviceName":"y~"}},{"traceId":"000000000002~","parentId":"0000000000000001","id":"0000000000000002","name":"put","timestamp":@002000,"duration":50,"localEndpoint":{"serviceName":"y~"},"tags":{"a":"b=c and d","http.path":"/a"}}]`,
		'3': `[{"traceId":"000000000003~","id":"0000000000000001","name":"put","timestamp":@003000,"localEndpoint":{"serviceName":"x~"},"annotations":[{"timestamp":@003001,"value":"foo"}],"tags":{"x":"foo"}}]`,
		'4': `[{"traceId":"000000000004~","parentId":"0000000000000009","id":"0000000000000001","name":"del","timestamp":@500000,"duration":1,"localEndpoint":{"serviceName":"z~"}},{"traceId":"000000000004~","parentId":"0000000000000009","id":"0000000000000002","name":"del","timestamp":@004000,"duration":1,"localEndpoint":{"serviceName":"x~"},"remoteEndpoint":{"serviceName":"q~"}}]`,
	}
	steps := []step{{path: "/api/v2/spans", body: post, status: 202}}
	for _, c := range []struct{ query, want string }{
		{"serviceName=x~", "1234"}, {"serviceName=X~", "1234"}, {"serviceName=y~", "2"}, {"serviceName=z~", "4"},
		{"serviceName=x~&spanName=get", "12"}, {"serviceName=x~&spanName=GET", "12"}, {"serviceName=x~&spanName=all", "1234"},
		{"serviceName=y~&spanName=get", ""}, {"serviceName=x~&spanName=", "1234"},
		{"serviceName=x~&remoteServiceName=y~", "2"}, {"serviceName=y~&remoteServiceName=y~", ""}, {"remoteServiceName=q~", "4"}, {"remoteServiceName=Q~", "4"},
		{"serviceName=x~&annotationQuery=error", "1"}, {"serviceName=x~&annotationQuery=a%3Db", "1"}, {"serviceName=x~&annotationQuery=a", "1"},
		{"serviceName=x~&annotationQuery=a%3Db%20and%20error", "1"}, {"serviceName=x~&annotationQuery=a%3Db%20and%20nope", ""},
		{"serviceName=x~&annotationQuery=foo", "3"}, {"serviceName=x~&annotationQuery=foo%3Dbar", ""}, {"serviceName=x~&annotationQuery=x%3Dfoo%20and%20foo", "3"},
		{"serviceName=x~&annotationQuery=%20a%20%3D%20b%20", "1"}, {"serviceName=x~&annotationQuery=a%3Dz%20and%20a%3Db", "1"}, {"serviceName=x~&annotationQuery=a%3Db%20and%20a", "1"},
		{"serviceName=y~&annotationQuery=http.path%3D/a", "2"}, {"serviceName=y~&annotationQuery=a%3Db%3Dc", ""}, {"serviceName=x~&annotationQuery=", "1234"},
		{"serviceName=x~&annotationQuery=b", ""}, {"serviceName=x~&annotationQuery=serviceName", ""},
		{"serviceName=x~&minDuration=100", "12"}, {"serviceName=x~&minDuration=101", "2"}, {"serviceName=x~&minDuration=1&maxDuration=100", "14"}, {"serviceName=y~&minDuration=51", ""},
		{"serviceName=x~&minDuration=100&spanName=put", ""},
		{"serviceName=x~&limit=1", "4"}, {"serviceName=x~&limit=2", "34"}, {"limit=2", "34"},
	} {
		steps = append(steps, step{path: "/api/v2/traces?endTs=@999&lookback=1000&" + c.query, status: 200, want: pick(spans, c.want)})
	}
	for _, c := range []struct{ window, want string }{
		{"endTs=@000&lookback=1", "1"}, {"endTs=@002&lookback=1", "2"}, {"endTs=@001&lookback=1", "12"}, {"endTs=@003&lookback=3", "123"}, {"endTs=@003&lookback=2", "23"},
		{"endTs=@500&lookback=1", ""}, {"endTs=@004&lookback=1", "34"},
	} {
		steps = append(steps, step{path: "/api/v2/traces?serviceName=x~&" + c.window, status: 200, want: pick(spans, c.want)})
	}
	return steps
}

func pick(spans map[byte]string, ids string) string {
	text := "["
	for i := range len(ids) {
		if i > 0 {
			text += ","
		}
		text += spans[ids[i]]
	}
	return text + "]"
}
