//! The REST API, `/api/v1`: ten-line handlers over the use cases of `app`, one file per noun, and the OpenAPI
//! document made from them.
//!
//! Every answer that is not 2xx is `application/problem+json`. Changes by session need the session's CSRF token;
//! every POST may carry an `Idempotency-Key`.

pub mod account;
pub mod actor;
pub mod audit;
pub mod bmc;
pub mod bridge;
pub mod bulk;
pub mod console;
pub mod controller;
pub mod crowd;
pub mod device;
pub mod discovery;
pub mod dns_key;
pub mod domain;
pub mod event;
pub mod extract;
pub mod group;
pub mod hardware_change;
pub mod health;
pub mod idempotency;
pub mod image;
pub mod interface;
pub mod login_provider;
pub mod machine;
pub mod machine_action;
mod metrics;
pub mod network;
pub mod notification;
pub mod operation;
pub mod problem;
pub mod rack_token;
pub mod region_token;
pub mod request_log;
pub mod script;
pub mod session;
pub mod setting;
pub mod space;
pub mod static_route;
pub mod subnet;
pub mod switch;
pub mod terminal;

use crate::app::App;
use axum::Json;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Where the API begins.
pub const PREFIX: &str = "/api/v1";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Rackwright",
        description = "Bare-metal provisioning. Long actions answer 202 with an operation; follow it with \
                       `GET /operations/{id}?wait=30` or `GET /events/stream`."
    ),
    modifiers(&Bearer),
    security(("bearer" = [])),
)]
struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme =
            HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("An API token, `rwt_…`"));
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme.build()));
        // Paths are made from the packages' licence and version; people's names have no place in them.
        openapi.info.contact = None;
    }
}

fn machines() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(machine::list_machines, machine::create_machine))
        .routes(routes!(machine::show_machine, machine::update_machine, machine::delete_machine))
        .routes(routes!(machine::set_bmc))
        .routes(routes!(bmc::read_bmc))
        .routes(routes!(machine::update_interface, machine::delete_interface))
        .routes(routes!(interface::create_virtual_interface))
        .routes(routes!(interface::update_virtual_interface, interface::delete_virtual_interface))
        .routes(routes!(interface::set_default_gateways))
        .routes(routes!(interface::show_network_plan))
        .routes(routes!(machine::list_script_runs))
        .routes(routes!(machine::compare_machine))
        .routes(routes!(hardware_change::list_hardware_changes))
        .routes(routes!(hardware_change::accept_hardware_changes))
        .routes(routes!(machine::show_script_run))
        .routes(routes!(machine::suppress_script_run))
        .routes(routes!(console::show_console))
        .routes(routes!(console::stream_console))
        .routes(routes!(terminal::open_terminal))
        .routes(routes!(machine_action::commission_machine))
        .routes(routes!(machine_action::test_machine))
        .routes(routes!(machine_action::deploy_machine))
        .routes(routes!(machine_action::release_machine))
        .routes(routes!(machine_action::enter_rescue))
        .routes(routes!(machine_action::exit_rescue))
        .routes(routes!(machine_action::power_machine))
        .routes(routes!(machine_action::abort_machine))
        .routes(routes!(machine_action::allocate_machine))
        .routes(routes!(machine_action::mark_machine_broken))
        .routes(routes!(machine_action::mark_machine_fixed))
        .routes(routes!(machine_action::lock_machine))
        .routes(routes!(machine_action::unlock_machine))
        .routes(routes!(machine_action::override_failed_tests))
        .routes(routes!(bulk::create_bulk_action))
        .routes(routes!(bulk::show_bulk_action))
        .routes(routes!(bulk::stop_bulk_action))
}

fn work() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(operation::list_operations))
        .routes(routes!(operation::show_operation))
        .routes(routes!(operation::show_operation_log))
        .routes(routes!(event::list_events))
        .routes(routes!(event::stream_events))
        .routes(routes!(notification::list_notifications))
        .routes(routes!(notification::see_notifications))
        .routes(routes!(notification::list_notification_rules))
        .routes(routes!(notification::put_notification_rule, notification::delete_notification_rule))
        .routes(routes!(image::list_images, image::create_image))
        .routes(routes!(image::show_image, image::delete_image))
        .routes(routes!(image::list_image_machines))
        .routes(routes!(image::show_upload, image::upload_file))
        .routes(routes!(script::list_scripts, script::create_script))
        .routes(routes!(script::show_script, script::delete_script))
        .routes(routes!(script::show_script_history))
        .routes(routes!(script::list_script_results))
        .routes(routes!(setting::show_settings, setting::update_settings))
        .routes(routes!(group::list_pools))
        .routes(routes!(group::put_pool, group::delete_pool))
        .routes(routes!(group::list_zones))
        .routes(routes!(group::put_zone, group::delete_zone))
        .routes(routes!(group::list_tags))
        .routes(routes!(group::delete_tag))
        .routes(routes!(controller::show_status))
        .routes(routes!(controller::list_racks))
        .routes(routes!(controller::delete_rack))
        .routes(routes!(controller::fence_rack))
        .routes(routes!(rack_token::create_rack_token))
        .routes(routes!(rack_token::enroll_rack))
        .routes(routes!(controller::list_regions))
        .routes(routes!(controller::show_region, controller::delete_region))
        .routes(routes!(controller::drain_region))
        .routes(routes!(controller::resume_region))
        .routes(routes!(region_token::create_region_token))
        .routes(routes!(region_token::join_region))
}

fn network() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(network::list_fabrics, network::create_fabric))
        .routes(routes!(network::update_fabric, network::delete_fabric))
        .routes(routes!(network::list_vlans, network::create_vlan))
        .routes(routes!(network::update_vlan, network::delete_vlan))
        .routes(routes!(network::list_leases))
        .routes(routes!(subnet::list_subnets, subnet::create_subnet))
        .routes(routes!(subnet::show_subnet, subnet::update_subnet, subnet::delete_subnet))
        .routes(routes!(subnet::show_utilisation))
        .routes(routes!(subnet::list_ip_ranges, subnet::create_ip_range))
        .routes(routes!(subnet::delete_ip_range))
        .routes(routes!(subnet::list_reservations, subnet::create_reservation))
        .routes(routes!(subnet::delete_reservation))
        .routes(routes!(interface::list_dhcp_shadow))
        .routes(routes!(space::list_spaces, space::create_space))
        .routes(routes!(space::update_space, space::delete_space))
        .routes(routes!(static_route::list_static_routes, static_route::create_static_route))
        .routes(routes!(static_route::delete_static_route))
        .routes(routes!(device::list_devices, device::create_device))
        .routes(routes!(device::show_device, device::update_device, device::delete_device))
        .routes(routes!(domain::list_domains, domain::create_domain))
        .routes(routes!(domain::show_domain, domain::update_domain, domain::delete_domain))
        .routes(routes!(domain::list_dns_records, domain::create_dns_record))
        .routes(routes!(domain::update_dns_record, domain::delete_dns_record))
        .routes(routes!(domain::list_dns_zones))
        .routes(routes!(dns_key::list_dns_keys, dns_key::create_dns_key))
        .routes(routes!(dns_key::delete_dns_key))
        .routes(routes!(domain::list_names))
        .routes(routes!(domain::list_secondaries, domain::create_secondary))
        .routes(routes!(domain::delete_secondary))
        .routes(routes!(discovery::list_discoveries))
        .routes(routes!(discovery::discovery_to_machine))
        .routes(routes!(discovery::discovery_to_device))
        .routes(routes!(discovery::ignore_discovery))
        .routes(routes!(discovery::list_scanned_subnets))
        .routes(routes!(discovery::scan_subnet))
        .routes(routes!(discovery::list_wiring_faults))
        .routes(routes!(switch::list_switches))
        .routes(routes!(switch::create_switch))
        .routes(routes!(switch::show_switch))
        .routes(routes!(switch::update_switch))
        .routes(routes!(switch::delete_switch))
        .routes(routes!(switch::read_switch))
        .routes(routes!(switch::set_switch_port_vlan))
}

fn accounts() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(session::login, session::show_session, session::logout))
        .routes(routes!(session::list_sessions))
        .routes(routes!(session::delete_session))
        .routes(routes!(
            login_provider::show_login_provider,
            login_provider::put_login_provider,
            login_provider::delete_login_provider
        ))
        .routes(routes!(audit::list_audit))
        .routes(routes!(account::list_users, account::create_user))
        .routes(routes!(account::show_user, account::update_user, account::delete_user))
        .routes(routes!(account::list_tokens, account::create_token))
        .routes(routes!(account::delete_token))
        .routes(routes!(account::list_ssh_keys, account::create_ssh_key))
        .routes(routes!(account::delete_ssh_key))
}

fn everything() -> OpenApiRouter<App> {
    let api = machines().merge(work()).merge(network()).merge(accounts());
    OpenApiRouter::with_openapi(Document::openapi()).nest(PREFIX, api)
}

/// The OpenAPI document, as it is in git.
pub fn openapi() -> utoipa::openapi::OpenApi {
    everything().split_for_parts().1
}

/// Everything that the region serves for programs: the API, `/healthz`, `/readyz`, `/metrics`.
pub fn router(app: App) -> axum::Router {
    let (api, document) = everything().split_for_parts();
    let counters = request_log::Counters::default();
    let layer = counters.clone();
    api.layer(from_fn_with_state(app.clone(), idempotency::replay))
        .route(&format!("{PREFIX}/openapi.json"), get(move || std::future::ready(Json(document))))
        .fallback(problem::no_such_path)
        .method_not_allowed_fallback(problem::no_such_method)
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(move |state| health::metrics(state, counters)))
        .layer(from_fn(move |request, next| request_log::log(layer.clone(), request, next)))
        .with_state(app)
}
