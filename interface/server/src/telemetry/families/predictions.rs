//! Families of predictions and of the models that make them. Nothing is predicted here; they are there, at 0, for who
//! queries them.

use super::{CALLS, COUNTS, Family, PLANS, SHARES, STEPS};

const NO_MODELS: &str = "nothing is predicted; agents are chosen by rules";

pub(super) const FAMILIES: &[Family] = &[
    Family::gauge("neural_hive_ml_model_training_status", &[("model_name", &["none"])], "state of training")
        .never(NO_MODELS),
    Family::counter(
        "orchestration_ml_predictions_total",
        &[("model_type", &["none"]), ("status", &["none"])],
        "predictions",
    )
    .never(NO_MODELS),
    Family::histogram(
        "orchestration_ml_prediction_duration_seconds",
        CALLS,
        &[("model_type", &["none"])],
        "seconds of a prediction",
    )
    .never(NO_MODELS),
    Family::histogram(
        "orchestration_ml_prediction_error",
        COUNTS,
        &[("model_type", &["none"])],
        "milliseconds a prediction was off",
    )
    .never(NO_MODELS),
    Family::counter(
        "orchestration_ml_anomalies_detected_total",
        &[("anomaly_type", &["none"])],
        "odd tickets",
    )
    .never(NO_MODELS),
    Family::counter(
        "orchestration_ml_model_load_errors_total",
        &[("model_name", &["none"])],
        "models that could not be loaded",
    )
    .never(NO_MODELS),
    Family::counter(
        "orchestration_ml_prediction_cache_hits_total",
        &[("model_name", &["none"])],
        "predictions known already",
    )
    .never(NO_MODELS),
    Family::histogram(
        "orchestration_ml_training_duration_seconds",
        PLANS,
        &[("model_type", &["none"])],
        "seconds of training",
    )
    .never(NO_MODELS),
    Family::gauge(
        "orchestration_ml_model_accuracy",
        &[("model_name", &["none"]), ("metric_type", &["none"])],
        "accuracy",
    )
    .never(NO_MODELS),
    Family::gauge(
        "orchestration_ml_model_quality_metrics",
        &[("model_name", &["none"]), ("metric_type", &["none"])],
        "quality",
    )
    .never(NO_MODELS),
    Family::counter(
        "orchestration_ml_feature_extraction_errors_total",
        &[],
        "features that could not be read",
    )
    .never(NO_MODELS),
    Family::gauge(
        "orchestration_ml_model_training_status",
        &[("model_name", &["none"]), ("status", &["none"])],
        "state of training",
    )
    .never(NO_MODELS),
    Family::gauge(
        "orchestration_ml_drift_score",
        &[("drift_type", &["none"]), ("feature", &["none"]), ("model_name", &["none"])],
        "drift",
    )
    .never(NO_MODELS),
    Family::gauge(
        "orchestration_ml_drift_status",
        &[("model_name", &["none"]), ("drift_type", &["none"])],
        "state of drift",
    )
    .never(NO_MODELS),
    Family::counter(
        "orchestration_ml_training_jobs_total",
        &[("status", &["none"]), ("trigger", &["none"])],
        "trainings",
    )
    .never(NO_MODELS),
    Family::gauge(
        "orchestration_ml_training_samples_used",
        &[("model_name", &["none"]), ("data_source", &["none"])],
        "samples of a training",
    )
    .never(NO_MODELS),
    Family::counter(
        "orchestration_ml_model_promotion_total",
        &[
            ("model_name", &["none"]),
            ("from_stage", &["none"]),
            ("to_stage", &["none"]),
            ("result", &["none"]),
        ],
        "models put to use",
    )
    .never(NO_MODELS),
    Family::counter(
        "neural_hive_shadow_predictions_total",
        &[("model_name", &["none"]), ("status", &["none"])],
        "predictions beside those in use",
    )
    .never(NO_MODELS),
    Family::gauge(
        "neural_hive_shadow_agreement_rate",
        &[("model_name", &["none"]), ("agreement_type", &["none"])],
        "share of equal predictions",
    )
    .never(NO_MODELS),
    Family::histogram(
        "neural_hive_shadow_latency_seconds",
        CALLS,
        &[("model_name", &["none"])],
        "seconds of predictions beside those in use",
    )
    .never(NO_MODELS),
    Family::counter(
        "neural_hive_shadow_comparison_errors_total",
        &[("model_name", &["none"]), ("error_type", &["none"])],
        "predictions that could not be compared",
    )
    .never(NO_MODELS),
    Family::gauge(
        "neural_hive_shadow_circuit_breaker_state",
        &[("model_name", &["none"])],
        "state of the breaker",
    )
    .never(NO_MODELS),
    Family::counter(
        "neural_hive_model_comparison_total",
        &[("model_name", &["none"]), ("recommendation", &["none"])],
        "models compared",
    )
    .never(NO_MODELS),
    Family::histogram(
        "neural_hive_model_comparison_duration_seconds",
        PLANS,
        &[("model_name", &["none"])],
        "seconds of a comparison",
    )
    .never(NO_MODELS),
    Family::gauge(
        "neural_hive_model_comparison_confidence",
        &[("model_name", &["none"])],
        "confidence of a comparison",
    )
    .never(NO_MODELS),
    Family::gauge("neural_hive_rollout_stage", &[("model_name", &["none"])], "stage of a rollout")
        .never(NO_MODELS),
    Family::gauge("neural_hive_rollout_traffic_pct", &[("model_name", &["none"])], "share of a rollout")
        .never(NO_MODELS),
    Family::counter(
        "neural_hive_rollout_checkpoint_total",
        &[("model_name", &["none"]), ("stage", &["none"]), ("status", &["none"])],
        "checkpoints of rollouts",
    )
    .never(NO_MODELS),
    Family::counter(
        "neural_hive_rollout_degradation_total",
        &[("model_name", &["none"]), ("reason", &["none"])],
        "rollouts that made things worse",
    )
    .never(NO_MODELS),
    Family::counter(
        "neural_hive_model_audit_events_total",
        &[("model_name", &["none"]), ("event_type", &["none"])],
        "changes of models",
    )
    .never(NO_MODELS),
    Family::counter(
        "orchestration_scheduler_ml_optimizations_applied_total",
        &[("optimization_type", &["none"]), ("source", &["none"])],
        "allocations changed by a prediction",
    )
    .never(NO_MODELS),
    Family::histogram(
        "orchestration_scheduler_ml_optimization_latency_seconds",
        STEPS,
        &[],
        "seconds of such a change",
    )
    .never(NO_MODELS),
    Family::histogram(
        "orchestration_scheduler_queue_prediction_error_ms",
        COUNTS,
        &[],
        "milliseconds a queue was predicted wrong",
    )
    .never(NO_MODELS),
    Family::gauge("orchestration_scheduler_load_prediction_accuracy", &[], "accuracy of predicted loads")
        .never(NO_MODELS),
    Family::histogram(
        "orchestration_scheduler_allocation_quality_score",
        SHARES,
        &[("used_ml_optimization", &["false"])],
        "quality of an allocation",
    )
    .never(NO_MODELS),
    Family::gauge("orchestration_scheduler_optimizer_availability", &[], "whether an optimizer answers")
        .never(NO_MODELS),
    Family::histogram(
        "orchestration_scheduler_predicted_queue_time_ms",
        COUNTS,
        &[("source", &["none"])],
        "predicted wait",
    )
    .never(NO_MODELS),
    Family::histogram(
        "orchestration_scheduler_predicted_worker_load_pct",
        SHARES,
        &[("source", &["none"])],
        "predicted load",
    )
    .never(NO_MODELS),
];
