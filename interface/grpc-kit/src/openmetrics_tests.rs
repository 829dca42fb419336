//! How the text is turned, line by line; `tests/it/exemplars.rs` reads the whole as a scraper does.

use std::time::Duration;

use super::*;
use crate::{
    health::{DESCRIPTOR, SERVICE},
    layer::metrics::HANDLING_SECONDS,
    methods::Methods,
    trace_context::TraceContext,
};

#[test]
fn it_differs_in_names_numbers_and_its_end() {
    let text = "# HELP calls_total calls \"made\"\n# TYPE calls_total counter\ncalls_total{file=\"5\"} 1\n\n\
        # TYPE lines counter\nlines 2\n\n# TYPE seconds histogram\nseconds_bucket{role=\"5\",le=\"5\"} 1\n\
        seconds_bucket{role=\"a\\\\\",le=\"0.5\"} 1\nseconds_bucket{role=\"\\\"} 1 #\",le=\"+Inf\"} 1\n\
        seconds_sum 0.25\nseconds_count 1\n\n# TYPE wait summary\nwait{quantile=\"1\"} 7\nwait_count{n=\"1\"} 7\n\
        # TYPE rows gauge\nrows_total{le=\"5\"} 3\n# TYPE any untyped\nany 1\n# anything else\n";
    let open = "# TYPE calls counter\n# HELP calls calls \\\"made\\\"\ncalls_total{file=\"5\"} 1\n\
        # TYPE lines counter\nlines_total 2\n# TYPE seconds histogram\nseconds_bucket{role=\"5\",le=\"5.0\"} 1\n\
        seconds_bucket{role=\"a\\\\\",le=\"0.5\"} 1\nseconds_bucket{role=\"\\\"} 1 #\",le=\"+Inf\"} 1\n\
        seconds_sum 0.25\nseconds_count 1\n# TYPE wait summary\nwait{quantile=\"1.0\"} 7\nwait_count{n=\"1\"} 7\n\
        # TYPE rows gauge\nrows_total{le=\"5\"} 3\n# TYPE any unknown\nany 1\n# EOF\n";
    assert_eq!(from_text(text), open);
}

#[test]
fn the_exemplar_of_a_bucket_stands_behind_it_in_whatever_buckets_there_are() {
    let mut methods = Methods::empty();
    methods.add(SERVICE, DESCRIPTOR).expect("the health service");
    let method = methods.get(methods.resolve("/grpc.health.v1.Health/List"));
    let exemplars = Exemplars::of(HANDLING_SECONDS, method);
    let trace = |trace_id| TraceContext { trace_id, span_id: 1, sampled: true, state: None };
    exemplars.keep(Some(&trace(10)), Duration::from_millis(30));
    exemplars.keep(Some(&trace(11)), Duration::from_secs(3));
    let series = |suffix: &str, service: &str, le: &str| {
        format!(
            "{HANDLING_SECONDS}{suffix}{{grpc_type=\"unary\",grpc_service=\"{service}\",grpc_method=\"List\"{le}}}"
        )
    };
    let mut text = format!("# TYPE {HANDLING_SECONDS} histogram\n");
    for service in [SERVICE, "another.Service"] {
        for le in ["0.02", "2", "+Inf"] {
            text += &format!("{} 9\n", series("_bucket", service, &format!(",le=\"{le}\"")));
        }
        text += &format!("{} 9\n", series("_count", service, ""));
    }
    let open = from_text(&text);
    assert_eq!(open, from_text(&text), "the next scrape shows the same");
    let shown: Vec<&str> =
        open.lines().filter_map(|line| line.split_once(" # ")).map(|(_, shown)| shown).collect();
    let behind: Vec<&str> = open.lines().filter(|line| line.contains(" # ")).collect();
    assert_eq!(shown.len(), 2, "{open}");
    assert!(behind[0].contains("le=\"2.0\"} 9 #") && behind[1].contains("le=\"+Inf\"} 9 #"), "{open}");
    assert!(shown[0].starts_with("{trace_id=\"0000000000000000000000000000000a\"} 0.03 "), "{open}");
    assert!(shown[1].starts_with("{trace_id=\"0000000000000000000000000000000b\"} 3 "), "{open}");
}

#[test]
fn it_is_shown_to_who_would_rather_have_it() {
    for (accept, asked) in [
        ("", false),
        ("*/*", false),
        ("text/plain", false),
        ("application/openmetrics-text", true),
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", true),
        ("Application/OpenMetrics-Text;Version=\"1.0.0\";Q=0.9,*/*;q=0.2", true),
        ("application/openmetrics-text;q=0.2,*/*;q=0.9", false),
        ("application/openmetrics-text;version=0.0.1", false),
        ("application/openmetrics-text;q=0", false),
        ("application/openmetrics-text;q=0.3,text/plain;q=0.5", false),
        // What Prometheus sends.
        (
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;\
             version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;\
             q=0.2,*/*;q=0.1",
            true,
        ),
    ] {
        assert_eq!(is_asked(accept), asked, "{accept}");
        let (media_type, text) = answer(accept, "# TYPE up gauge\nup 1\n".to_owned());
        assert_eq!(media_type.starts_with("application/openmetrics-text; version=1.0.0"), asked);
        assert_eq!(media_type.starts_with("text/plain; version=0.0.4"), !asked);
        assert_eq!(text.ends_with("up 1\n# EOF\n"), asked, "{text}");
    }
}
