//! What the API says of itself, `openapi.json`: read from the handlers here, and checked in. Making it takes more room than the program has
//! for it, so the program holds the text only.

use std::collections::{BTreeMap, BTreeSet};

use utoipa::{Modify, OpenApi};

#[derive(OpenApi)]
#[openapi(
    modifiers(&Names),
    info(
        title = "Giọt",
        description = "Soil, water and irrigation diary of one gateway. Times are milliseconds since 1970-01-01T00:00:00Z, \
                       moisture is % of the soil's volume, volumes are litres.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    paths(
        super::auth::session,
        super::auth::sign_in,
        super::auth::sign_out,
        super::overview::overview,
        super::zones::start,
        super::zones::extend,
        super::zones::irrigated,
        super::zones::stop,
        super::zones::stop_all,
        super::zones::test_valves,
        super::zones::run_once,
        super::zones::suspend,
        super::zones::lock,
        super::zones::unlock,
        super::zones::clear_fault,
        super::sources::list,
        super::sources::clear_fault,
        super::store::store,
        super::programs::list,
        super::programs::preview,
        super::programs::start,
        super::programs::stop,
        super::programs::skip,
        super::programs::enable,
        super::programs::adjust,
        super::programs::suspend,
        super::programs::pause,
        super::rules::list,
        super::rules::test,
        super::history::zone_history,
        super::backtest::zone_backtest,
        super::balance::zone_balance,
        super::why::why,
        super::nodes::change,
        super::nodes::changed,
        super::series::latest,
        super::series::samples,
        super::series::spans,
        super::past::series,
        super::past::chart,
        super::past::spans,
        super::export::export,
        super::farm::farm,
        super::farm::check,
        super::farm::save,
        super::farm::versions,
        super::farm::version,
        super::diary::diary,
        super::events::events
    )
)]
struct Description;

/// Names operations by their resource and their handler: two of one name would be one in a program made from the description.
struct Names;

impl Modify for Names {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        let items = description.paths.paths.values_mut();
        let operations = items.flat_map(|item| {
            [&mut item.get, &mut item.post, &mut item.put, &mut item.delete, &mut item.patch]
                .into_iter()
                .flatten()
        });
        for operation in operations {
            let tag = operation.tags.iter().flatten().next().and_then(|tag| tag.rsplit("::").next());
            let tag = tag.unwrap().to_owned();
            operation.operation_id = operation.operation_id.as_ref().map(|id| format!("{tag}_{id}"));
            operation.tags = Some(vec![tag]);
        }
    }
}

/// Set to write `openapi.json` anew.
const WRITE: &str = "GIOT_WRITE_OPENAPI";

#[test]
fn the_description_is_what_the_handlers_say() {
    let made = Description::openapi().to_pretty_json().unwrap() + "\n";
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/api/openapi.json"), made).unwrap();
        return;
    }
    assert!(
        made == include_str!("openapi.json"),
        "gateway/src/api/openapi.json is of another state: {WRITE}=1 cargo test --workspace --lib the_description, then look at the difference"
    );
}

/// Methods with their paths.
type Routes = BTreeSet<(String, String)>;

/// What the router answers below `/api/v1`, but for this description. It tells its routes by its `Debug` only: of each, by its number,
/// `MethodRouter { … allow_header: Bytes(b"GET,HEAD") }` and in another place the path.
fn routed() -> Routes {
    let shown = format!("{:?}", super::resources());
    let (routes, _) = shown.split_once("fallback_router: ").unwrap();
    let mut by_number: BTreeMap<&str, (Vec<&str>, &str)> = BTreeMap::new();
    for entry in routes.split("RouteId(").skip(1) {
        let (number, rest) = entry.split_once("): ").unwrap();
        let (methods, path) = by_number.entry(number).or_default();
        let quoted = |before: &str| rest.split_once(before)?.1.split_once('"').map(|(text, _)| text);
        if rest.starts_with('"') {
            *path = quoted("\"").unwrap();
        } else if let Some(allowed) = quoted("allow_header: Bytes(b\"") {
            methods.extend(allowed.split(',').filter(|method| *method != "HEAD"));
        }
    }
    let routes = by_number.into_values().filter(|(_, path)| path.starts_with("/api/v1/"));
    let of_path = |(methods, path): (Vec<&str>, &str)| -> Vec<(String, String)> {
        assert!(!methods.is_empty(), "{path} answers nothing that can be described");
        methods.into_iter().map(|method| (method.to_ascii_lowercase(), path.to_owned())).collect()
    };
    routes.flat_map(of_path).filter(|(_, path)| path != "/api/v1/openapi.json").collect()
}

/// What the description says.
fn described() -> Routes {
    let told: serde_json::Value = serde_json::from_str(include_str!("openapi.json")).unwrap();
    let paths = told["paths"].as_object().unwrap().iter();
    let of_path = |(path, methods): (&String, &serde_json::Value)| -> Vec<(String, String)> {
        methods.as_object().unwrap().keys().map(|method| (method.clone(), path.clone())).collect()
    };
    paths.flat_map(of_path).collect()
}

#[test]
fn the_description_holds_every_route_and_no_other() {
    let (routed, described) = (routed(), described());
    assert!(routed.contains(&("post".to_owned(), "/api/v1/zones/{id}/start".to_owned())), "{routed:?}");
    let missing: Vec<_> = routed.difference(&described).collect();
    let gone: Vec<_> = described.difference(&routed).collect();
    assert!(missing.is_empty() && gone.is_empty(), "not described: {missing:?}; not routed: {gone:?}");
}

#[test]
fn every_operation_has_a_name_of_its_own() {
    let told: serde_json::Value = serde_json::from_str(include_str!("openapi.json")).unwrap();
    let items = told["paths"].as_object().unwrap().values().filter_map(serde_json::Value::as_object);
    let names: Vec<_> = items
        .flat_map(|item| item.values().map(|operation| operation["operationId"].as_str().unwrap()))
        .collect();
    let unique: BTreeSet<_> = names.iter().collect();
    assert_eq!(unique.len(), names.len(), "{names:?}");
    assert!(unique.contains(&"zones_suspend"), "{names:?}");
}
