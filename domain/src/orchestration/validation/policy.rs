//! The one policy a plan meets before it runs: no task may be expected to take longer than its risk band allows.

use super::reader::Reader;
use super::tasks::Draft;
use crate::orchestration::finding::{Code, Quoted};
use crate::orchestration::limits::{ceiling_ms, longest_estimate_ms};
use crate::orchestration::path::Path;
use crate::tickets::public::RiskBand;

pub(super) fn check(band: RiskBand, drafts: &[Draft<'_>], at: &Path<'_>, reader: &mut Reader<'_>) {
    let (longest, ceiling) = (longest_estimate_ms(band), ceiling_ms(band));
    for (index, draft) in drafts.iter().enumerate() {
        if let Some(estimate) = draft.estimated_duration_ms.filter(|estimate| *estimate > longest) {
            let id = Quoted(draft.id.unwrap_or("?"));
            let message = format_args!(
                "task {id} is estimated at {estimate} ms; band {band} allows {longest} ms, its timeout ceiling of {ceiling} ms ÷ 1.5"
            );
            let task_at = at.item(index);
            reader.findings.error(Code::PolicyViolation, task_at.key("estimated_duration_ms"), message);
        }
    }
}
