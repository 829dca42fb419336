//! Random plans: a valid one always runs, a broken one always says why, and nothing panics.

use proptest::prelude::*;

use super::*;

/// A plan whose tasks depend on tasks before them, listed and ordered in different ways.
fn valid_plan() -> impl Strategy<Value = Json> {
    (1_usize..25).prop_flat_map(|tasks| {
        let dependencies: Vec<_> = (0..tasks)
            .map(|index| proptest::sample::subsequence((0..index).collect::<Vec<_>>(), 0..=index.min(4)))
            .collect();
        let listing = Just((0..tasks).collect::<Vec<_>>()).prop_shuffle();
        let bands = proptest::sample::select(vec!["low", "medium", "high", "critical"]);
        (dependencies, listing, bands, 0.0..=1.0).prop_map(|(dependencies, listing, band, risk)| {
            let name = |index: &usize| format!("task-{index}");
            let listed = listing.iter().map(|index| {
                let needs: Vec<_> = dependencies[*index].iter().map(name).collect();
                task(&name(index), &needs.iter().map(String::as_str).collect::<Vec<_>>())
            });
            let plan = plan_of(listed.collect());
            let order = (0..dependencies.len()).map(|index| Json::from(name(&index))).collect();
            let plan = with(plan, "execution_order", Json::List(order));
            with(with(plan, "risk_band", text(band)), "risk_score", Json::Float(risk))
        })
    })
}

/// Breaks one thing about the task `index`, and says which code that must cause.
fn break_plan(plan: &mut Json, index: usize, how: u8) -> Code {
    let count = at(plan, "tasks").as_list().unwrap().len();
    let index = index % count;
    let task_at = format!("tasks[{index}]");
    let own_id = at(plan, &format!("{task_at}.task_id")).clone();
    let dependencies = format!("{task_at}.dependencies");
    let depend_on = |plan: &mut Json, id: Json| match at(plan, &dependencies) {
        Json::List(ids) => ids.push(id),
        other => panic!("{other:?}"),
    };
    match how {
        0 => {
            depend_on(plan, text("nobody"));
            Code::UnknownDependency
        }
        1 => {
            depend_on(plan, own_id);
            Code::SelfDependency
        }
        2 => {
            let mut copy = at(plan, &task_at).clone();
            *at(&mut copy, "dependencies") = list([]);
            let Json::List(tasks) = at(plan, "tasks") else { unreachable!() };
            tasks.push(copy);
            Code::DuplicateTaskId
        }
        3 => {
            // A new task between this one and itself.
            let mut back = task("back", &[]);
            *at(&mut back, "dependencies") = Json::List(vec![own_id]);
            depend_on(plan, text("back"));
            let Json::List(tasks) = at(plan, "tasks") else { unreachable!() };
            tasks.push(back);
            let Json::List(order) = at(plan, "execution_order") else { unreachable!() };
            order.push(text("back"));
            Code::Cycle
        }
        4 => {
            *plan = without(plan.clone(), &format!("{task_at}.description"));
            Code::MissingField
        }
        5 => {
            *at(plan, &dependencies) = Json::Bool(true);
            Code::SchemaInvalid
        }
        6 => {
            let Json::List(order) = at(plan, "execution_order") else { unreachable!() };
            order.remove(index);
            Code::TaskNotInOrder
        }
        7 => {
            *at(plan, "execution_order[0]") = text("nobody");
            Code::UnknownTaskInOrder
        }
        8 => {
            let Json::List(order) = at(plan, "execution_order") else { unreachable!() };
            order.push(own_id);
            Code::DuplicateInOrder
        }
        9 => {
            *at(plan, &format!("{task_at}.estimated_duration_ms")) = Json::Int(4_800_001);
            Code::PolicyViolation
        }
        10 => {
            *at(plan, "valid_until") = Json::from(NOW.millis() - 1);
            Code::PlanExpired
        }
        _ => {
            *at(plan, &format!("{task_at}.task_id")) = text("");
            Code::InvalidId
        }
    }
}

/// Any JSON, with keys and words that validation looks for.
fn any_json() -> impl Strategy<Value = Json> {
    const WORDS: [&str; 22] = [
        "decision_id",
        "plan_id",
        "intent_id",
        "final_decision",
        "cognitive_plan",
        "plan_data",
        "tasks",
        "task_id",
        "task_type",
        "description",
        "dependencies",
        "execution_order",
        "risk_score",
        "risk_band",
        "metadata",
        "parameters",
        "approve",
        "low",
        "requires_human_review",
        "valid_until",
        "estimated_duration_ms",
        "a\0\u{1F600}",
    ];
    let word = || proptest::sample::select(WORDS.to_vec()).prop_map(str::to_owned);
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        any::<i128>().prop_map(Json::Int),
        any::<f64>().prop_map(Json::Float),
        word().prop_map(Json::Text),
    ];
    leaf.prop_recursive(6, 80, 12, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Json::List),
            proptest::collection::btree_map(word(), inner, 0..12).prop_map(Json::Object),
        ]
    })
}

proptest! {
    #[test]
    fn a_valid_plan_runs_and_reads_back(plan in valid_plan()) {
        let report = judge(plan);
        let Verdict::Run(approved) = report.verdict else {
            return Err(TestCaseError::fail(format!("{:?}", report.findings)));
        };
        prop_assert!(report.findings.warnings.is_empty());
        prop_assert_eq!(approved.plan.graph.len(), approved.plan.tasks.len());
        let restored = ApprovedPlan::restore(approved.to_json()).unwrap();
        prop_assert_eq!(restored, *approved);
    }

    #[test]
    fn a_broken_plan_says_why(mut plan in valid_plan(), index in 0_usize..25, how in 0_u8..12) {
        let code = break_plan(&mut plan, index, how);
        let codes: Vec<_> = judge(plan).findings.errors.into_iter().map(|finding| finding.code).collect();
        prop_assert!(codes.contains(&code), "{code} not in {codes:?}");
    }

    /// INV-8
    #[test]
    fn nothing_panics(body in any_json(), ledger in proptest::option::of(any_json())) {
        let report = validate(&open(body), ledger.as_ref(), &Limits::default(), NOW);
        prop_assert_eq!(report.verdict == Verdict::Invalid, !report.findings.is_clean());
    }
}
