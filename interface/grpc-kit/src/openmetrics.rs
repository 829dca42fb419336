//! What an exporter shows in the Prometheus text format, in OpenMetrics 1.0, and with it exemplars: the trace of the last
//! recorded call in each bucket of [`HANDLING_SECONDS`](crate::layer::metrics::HANDLING_SECONDS) and of its counterpart
//! at the [client](crate::client). Whoever serves `/metrics` has its exporter render as before, and shows the
//! [`answer`] made of it.

use std::{fmt::Write as _, sync::Arc};

use crate::exemplars::{Exemplar, Exemplars};

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const MEDIA_TYPE: &str = "application/openmetrics-text";

/// Of the Prometheus text format.
const TEXT_CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What to answer a scrape that sends this `Accept` header, or an empty one: the media type and the body, made of what
/// the exporter renders in the text format.
pub fn answer(accept: &str, text: String) -> (&'static str, String) {
    if is_asked(accept) { (CONTENT_TYPE, from_text(&text)) } else { (TEXT_CONTENT_TYPE, text) }
}

/// Whether an `Accept` header would rather have OpenMetrics 1.0 than the text format (RFC 9110, section 12.5.1).
fn is_asked(accept: &str) -> bool {
    let (mut open, mut text, mut any) = (0.0, None, 0.0);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default();
        let (mut quality, mut version) = (1.0, None);
        for (name, value) in parts.filter_map(|parameter| parameter.split_once('=')) {
            match name.to_ascii_lowercase().as_str() {
                "q" => quality = value.parse().unwrap_or(0.0),
                "version" => version = Some(value.trim_matches('"')),
                _ => {}
            }
        }
        if media_type.eq_ignore_ascii_case(MEDIA_TYPE) && version.is_none_or(|version| version == "1.0.0") {
            open = f64::max(open, quality);
        } else if media_type.eq_ignore_ascii_case("text/plain") {
            text = Some(f64::max(text.unwrap_or(0.0), quality));
        } else if media_type == "*/*" || media_type.eq_ignore_ascii_case("text/*") {
            any = f64::max(any, quality);
        }
    }
    open > 0.0 && open >= text.unwrap_or(any)
}

/// The same in OpenMetrics 1.0 as this text says in version 0.0.4 of the Prometheus text format, as exporters write it:
/// series of a family together, without times. A counter's family is called without `_total` and its series with it;
/// bounds of buckets and quantiles have a decimal point, no line is empty, the end is marked.
pub fn from_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    let mut family = Family::default();
    let mut help: Option<(&str, &str)> = None;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            family = Family::new(name, kind);
            family.describe(&mut out, help.take().filter(|(of, _)| *of == name).map(|(_, text)| text));
        } else if let Some((series, value)) = line.rsplit_once(' ').filter(|_| !line.starts_with('#')) {
            family.sample(&mut out, series, value);
        }
    }
    out.push_str("# EOF\n");
    out
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    Counter,
    Histogram,
    Summary,
    #[default]
    Other,
}

/// The family whose series are written.
#[derive(Debug, Default)]
struct Family<'a> {
    name: &'a str,
    /// As the text format calls it.
    word: &'a str,
    kind: Kind,
    /// Of the bucket before in the same series, and the exemplars of that.
    before: Option<(f64, Option<Arc<Exemplars>>)>,
}

impl<'a> Family<'a> {
    fn new(name: &'a str, word: &'a str) -> Self {
        let kind = match word {
            "counter" => Kind::Counter,
            "histogram" => Kind::Histogram,
            "summary" => Kind::Summary,
            _ => Kind::Other,
        };
        Self { name, word, kind, before: None }
    }

    fn describe(&self, out: &mut String, help: Option<&str>) {
        let name = match self.kind {
            Kind::Counter => self.name.strip_suffix("_total").unwrap_or(self.name),
            _ => self.name,
        };
        let word = if self.word == "untyped" { "unknown" } else { self.word };
        out.extend(["# TYPE ", name, " ", word, "\n"]);
        if let Some(help) = help {
            // Here, unlike there, a quotation mark is written as one in a label is.
            out.extend(["# HELP ", name, " ", &help.replace('"', "\\\""), "\n"]);
        }
    }

    fn sample(&mut self, out: &mut String, series: &str, value: &str) {
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let labels = labels.strip_suffix('}').unwrap_or(labels);
        out.push_str(name);
        if self.kind == Kind::Counter && !name.ends_with("_total") {
            out.push_str("_total");
        }
        let special = match self.kind {
            Kind::Histogram if name.strip_suffix("_bucket") == Some(self.name) => "le",
            Kind::Summary => "quantile",
            _ => "",
        };
        let mut bound = None;
        if !labels.is_empty() {
            out.push('{');
            for (place, (label, text)) in Labels(labels).enumerate() {
                let comma = if place == 0 { "" } else { "," };
                let number = label == special && text.bytes().all(|byte| byte.is_ascii_digit());
                out.extend([comma, label, "=\"", text, if number { ".0" } else { "" }, "\""]);
                if label == "le" && special == "le" {
                    bound = text.parse().ok();
                }
            }
            out.push('}');
        }
        out.extend([" ", value]);
        self.before = bound.map(|bound| {
            let first = || (f64::NEG_INFINITY, exemplars(self.name, labels));
            let (above, exemplars) = self.before.take().unwrap_or_else(first);
            show(out, exemplars.as_ref().and_then(|exemplars| exemplars.latest(above, bound)));
            (bound, exemplars)
        });
        out.push('\n');
    }
}

/// Those of the series with these labels.
fn exemplars(family: &str, labels: &str) -> Option<Arc<Exemplars>> {
    let label = |wanted| Labels(labels).find(|(name, _)| *name == wanted).map(|(_, value)| value);
    Exemplars::find(family, label("grpc_service")?, label("grpc_method")?)
}

fn show(out: &mut String, exemplar: Option<Exemplar>) {
    let Some(exemplar) = exemplar else { return };
    let Exemplar { trace_id, seconds, ended } = exemplar;
    let (whole, millis) = (ended.as_secs(), ended.subsec_millis());
    // It cannot fail: a text takes what is written.
    let _ = write!(out, " # {{trace_id=\"{trace_id:032x}\"}} {seconds} {whole}.{millis:03}");
}

/// The labels between the braces, as they are written: names with texts, in which a backslash keeps a quotation mark
/// from being the end.
struct Labels<'a>(&'a str);

impl<'a> Iterator for Labels<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, rest) = self.0.split_once("=\"")?;
        let mut escaped = false;
        let end = rest.bytes().position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        })?;
        self.0 = &rest[end + 1..];
        Some((name.trim_start_matches(',').trim(), &rest[..end]))
    }
}

#[cfg(test)]
#[path = "openmetrics_tests.rs"]
mod tests;
