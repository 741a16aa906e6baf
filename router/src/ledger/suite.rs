//! The suite that every ledger must pass, run on both: [`scenes`] in a test's own time, [`curve`] how often requests are refused
//! (L6), [`live`] in real time, [`away`] when Redis goes and comes back (L8), [`cluster`] on a Redis Cluster, [`traces`] step by
//! step against each other (L7). [`server`] is a real Redis for them.

mod away;
mod bench;
mod cluster;
mod curve;
mod faults;
mod live;
mod scenes;
mod server;
mod traces;

/// Runs each scene on both ledgers.
macro_rules! on_both {
    ($($scene:ident),+ $(,)?) => {
        mod memory {
            $(#[tokio::test]
            async fn $scene() {
                super::scenes::$scene(&super::bench::Bench::memory()).await;
            })+
        }
        mod redis {
            $(#[tokio::test]
            async fn $scene() {
                super::scenes::$scene(&super::bench::Bench::redis().await).await;
            })+
        }
    };
}

on_both!(
    a_free_slot_is_granted_at_once_and_released,
    tickets_are_served_in_order_across_routers,
    priorities_go_first_across_routers,
    the_queue_limit_holds_across_routers,
    the_curve_rejects_by_the_draw,
    rejections_are_as_frequent_as_the_curve_says,
    late_work_is_refused_once_the_service_time_is_known,
    a_ticket_is_dropped_at_its_deadline,
    a_cancelled_ticket_frees_its_place_and_a_granted_one_its_slot,
    abandoned_work_holds_its_slot_until_confirmed,
    a_report_confirms_what_the_backend_no_longer_holds,
    a_full_backend_is_left_and_the_ticket_keeps_its_place,
    an_unreachable_backend_is_avoided,
    nothing_comes_back_that_is_not_held,
    a_dead_router_is_reaped,
    what_its_router_forgot_is_freed,
    a_ticket_nobody_waits_for_is_freed,
    a_new_life_of_a_backend_frees_what_the_old_one_ran,
    a_former_life_of_a_backend_comes_too_late,
    a_reset_returns_what_is_never_confirmed,
    a_cold_pool_holds_its_requests,
    a_preferred_backend_is_chosen,
    unknown_and_forgotten_pools_refuse,
    pools_do_not_share,
    every_call_may_come_twice,
    the_fleet_shows_the_account,
    many_at_once_never_pass_the_limits,
);
