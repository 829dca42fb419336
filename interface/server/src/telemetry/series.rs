//! Handles of the series of a family, made once: recording takes no lock and builds no text.

use metrics::{Counter, Gauge, Histogram, Label, counter, gauge, histogram};

use super::families::{Family, find};

/// What a family's series are recorded with.
pub(crate) trait Handle: Clone {
    fn register(name: &'static str, labels: Vec<Label>) -> Self;
    fn none() -> Self;
}

impl Handle for Counter {
    fn register(name: &'static str, labels: Vec<Label>) -> Self {
        counter!(name, labels)
    }

    fn none() -> Self {
        Counter::noop()
    }
}

impl Handle for Gauge {
    fn register(name: &'static str, labels: Vec<Label>) -> Self {
        gauge!(name, labels)
    }

    fn none() -> Self {
        Gauge::noop()
    }
}

impl Handle for Histogram {
    fn register(name: &'static str, labels: Vec<Label>) -> Self {
        histogram!(name, labels)
    }

    fn none() -> Self {
        Histogram::noop()
    }
}

/// The series of a family: one for each combination of the known values of its labels.
#[derive(Debug)]
pub(crate) struct Series<H> {
    handles: Vec<H>,
    /// How many values each label has.
    widths: Vec<usize>,
    none: H,
}

impl<H: Handle> Series<H> {
    /// The series of the family of that name; none of a family that is not in the tables.
    pub(crate) fn of(name: &str) -> Self {
        match find(name) {
            Some(family) => Self::all(family),
            None => Series { handles: Vec::new(), widths: Vec::new(), none: H::none() },
        }
    }

    /// Makes all series of a family.
    pub(crate) fn all(family: &Family) -> Self {
        let mut combinations: Vec<Vec<Label>> = vec![Vec::new()];
        for (label, values) in family.labels {
            combinations = combinations
                .iter()
                .flat_map(|labels| {
                    values.iter().map(|value| {
                        let mut labels = labels.clone();
                        labels.push(Label::from_static_parts(label, value));
                        labels
                    })
                })
                .collect();
        }
        Series {
            handles: combinations.into_iter().map(|labels| H::register(family.name, labels)).collect(),
            widths: family.labels.iter().map(|(_, values)| values.len()).collect(),
            none: H::none(),
        }
    }

    /// The series whose labels have the values at these places, in the order of the family's labels.
    pub(crate) fn at<const N: usize>(&self, places: [usize; N]) -> &H {
        let in_range = places.len() == self.widths.len()
            && places.iter().zip(&self.widths).all(|(place, width)| place < width);
        let index = places.iter().zip(&self.widths).fold(0, |index, (place, width)| index * width + place);
        self.handles.get(index).filter(|_| in_range).unwrap_or(&self.none)
    }

    /// The series of a family without labels, or the first one.
    pub(crate) fn first(&self) -> &H {
        self.handles.first().unwrap_or(&self.none)
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn a_series_is_found_by_the_places_of_its_values() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let shown = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            let series = Series::<Counter>::of("orchestration_compensations_executed_total");
            series.at([0, 1]).increment(3);
            series.at([0, 2]).increment(5);
            series.at([0]).increment(7);
            Series::<Counter>::of("no_such_family").first().increment(1);
        });
        let text = shown.render();
        assert!(text.contains("{reason=\"plan_failed\",status=\"success\"} 0\n"), "{text}");
        assert!(text.contains("{reason=\"plan_failed\",status=\"failed\"} 3\n"), "{text}");
        assert_eq!(
            text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count(),
            2,
            "{text}"
        );
    }
}
