import brave.Span;
import brave.Tracing;
import zipkin2.reporter.brave.AsyncZipkinSpanHandler;
import zipkin2.reporter.urlconnection.URLConnectionSender;

/** Reports one trace of two spans to the URL given and ends when it is sent. */
public final class Report {
  public static void main(String[] args) {
    try (var sender = URLConnectionSender.create(args[0]);
        var spans = AsyncZipkinSpanHandler.create(sender);
        var tracing = Tracing.newBuilder().localServiceName("brave-client").traceId128Bit(true).addSpanHandler(spans).build()) {
      Span work = tracing.tracer().newTrace().name("work").start();
      Span call = tracing.tracer().newChild(work.context()).name("Place").kind(Span.Kind.CLIENT).start();
      call.remoteServiceName("Orders");
      call.tag("error", "boom");
      call.finish();
      work.finish();
      spans.flush();
    }
  }

  private Report() {}
}
