//! What the API says of itself, `openapi.json`: read from the handlers here, and checked in. Making it takes more room than the program has
//! for it, so the program holds the text only.

use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(
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
        made == super::DESCRIPTION,
        "gateway/src/api/openapi.json is of another state: {WRITE}=1 cargo test --workspace --lib the_description, then look at the difference"
    );
}
