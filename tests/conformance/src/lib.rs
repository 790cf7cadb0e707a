//! What every store must do, written once and run on each.
//!
//! Owns: the suite (one public function for each sentence about a store), and what a store must offer to be put under
//! it ([`Subject`]). Refuses: anything that only one kind of store can do.

mod audit_trail;
mod certificates;
mod ended_before;
mod issuers;
mod keys;
mod lease_classes;
mod lifecycle;
mod log;
mod login;
mod looks;
mod retention;
mod rows;
mod seed;
mod signature_keys;
mod standing;
mod subjects;
mod tenant_deletion;
mod uses;

use std::sync::Arc;

use async_trait::async_trait;
use auth_domain::Store;

pub use audit_trail::*;
pub use certificates::*;
pub use ended_before::*;
pub use issuers::*;
pub use keys::*;
pub use lease_classes::*;
pub use lifecycle::*;
pub use log::*;
pub use login::*;
pub use looks::*;
pub use retention::*;
pub use rows::*;
pub use seed::Seed;
pub use signature_keys::*;
pub use standing::*;
pub use subjects::*;
pub use tenant_deletion::*;
pub use uses::*;

/// A kind of store with somewhere of its own to keep its data.
#[async_trait]
pub trait Subject: Send + Sync {
    /// Opens the data, which is empty at first. `draw` makes what the store draws by chance.
    async fn open(&self, draw: u64) -> Arc<dyn Store>;

    /// Closes what was opened, as an orderly end of the process would.
    async fn close(&self);
}

/// Makes one test of each sentence for a kind of store: `suite!(subject)` with `subject()` making a new one. Sentences
/// that only some kinds have are named after it.
#[macro_export]
macro_rules! suite {
    ($subject:path $(, $more:ident)*) => {
        $crate::suite!($subject:
            $($more,)*
            entries_are_gapless_and_in_commit_order_under_concurrent_writers,
            a_tailing_reader_never_misses_an_entry,
            every_snapshot_sees_a_prefix,
            the_chain_is_the_running_hash_of_the_payloads,
            a_transaction_that_is_dropped_leaves_no_trace,
            a_commit_whose_caller_leaves_is_announced,
            a_position_is_known_from_the_beginning_to_the_head_and_not_beyond,
            a_batch_marks_every_row_that_it_kills,
            what_is_judged_again_is_not_marked,
            a_batch_that_kills_what_has_no_row_is_refused_whole,
            two_stores_differ_from_their_first_entry,
            opening_again_keeps_the_log,
            a_row_reads_back_as_it_was_written,
            a_name_is_taken_once,
            one_key_signs,
            a_signing_key_moves_on_from_the_state_it_is_in,
            a_private_half_is_sealed_anew_once,
            an_apps_secret_is_sealed_anew_once,
            an_api_key_has_one_successor,
            the_last_use_of_an_api_key_is_the_latest_that_was_noted,
            a_certificate_reads_back_as_what_it_is,
            a_name_in_a_certificate_is_one_credentials_until_that_is_dead,
            of_many_that_take_a_name_at_once_one_has_it,
            a_certificate_is_no_api_key,
            a_signature_key_reads_back_as_what_it_is,
            a_signature_key_is_registered_once_while_it_is_remembered,
            of_many_that_register_a_key_at_once_one_has_it,
            the_signature_keys_of_a_credential_stand_beside_it,
            a_signature_key_older_than_what_ended_its_holder_is_let_go,
            a_signature_key_has_one_successor,
            a_signature_key_is_remembered_while_its_session_could_bring_it_back,
            an_issuer_reads_back_as_it_was_put,
            an_issuer_is_one_tenants_under_one_name,
            what_is_seen_of_an_issuer_is_seen_once,
            a_standing_knows_who_vouched,
            bound_subjects_are_found_by_issuer_and_by_identity,
            a_subject_is_unbound_once,
            lists_come_in_pages_without_gap_or_repetition,
            a_ticket_is_redeemed_by_one_handshake_of_many,
            a_ticket_is_not_redeemed_at_its_end,
            tickets_fill_what_they_are_of_until_the_next_is_over,
            a_refresh_token_is_spent_by_one_of_many,
            a_named_request_is_answered_from_its_transaction,
            a_name_is_whose_it_is_with_any_key,
            several_named_requests_are_answered_by_one_entry,
            an_answer_without_an_entry_is_kept_and_forgotten,
            audit_rows_are_found_by_what_they_say,
            a_row_is_sealed_once,
            many_sealers_seal_each_row_once,
            sealed_rows_go_up_to_a_seal_and_the_trail_begins_there,
            a_standing_is_found_in_one_look,
            a_ticket_is_found_with_its_parent,
            a_standing_says_what_killed_it,
            of_many_who_look_at_once_each_finds_its_own,
            a_look_sees_what_was_committed_before_it_whoever_else_looks,
            a_look_sees_each_change_though_it_has_no_entry,
            a_standing_knows_the_log_it_was_issued_on,
            identities_are_found_by_what_they_are,
            sessions_are_found_by_where_they_live,
            a_session_is_usable_while_something_of_it_is,
            credentials_of_an_identity_are_found_newest_first,
            a_change_from_an_older_version_does_not_take_place,
            a_buried_identity_leaves_its_id_and_nothing_else,
            a_name_is_given_to_one_of_many_who_want_it,
            a_buried_tenant_leaves_its_name_and_nothing_else,
            a_deleted_tenant_is_emptied_a_few_rows_at_a_time,
            a_deleted_tenant_keeps_no_certificate_name,
            what_is_ended_before_a_time_is_known_wherever_it_matters,
            sessions_from_before_what_is_ended_are_not_found_among_the_living,
            a_deleted_role_is_held_by_nobody,
            a_scope_is_held_without_a_key_only_by_another_live_one,
            a_tenant_has_the_lease_class_it_was_given_last,
            what_a_login_rests_on_reads_back_as_it_was_written,
            passwords_of_a_tenant_are_found_by_name,
            guesses_made_at_once_are_each_counted,
            counts_of_long_ago_are_forgotten_a_few_at_a_time,
            an_account_has_so_many_known_places,
            a_decoy_is_drawn_from_the_passwords_of_the_tenant,
            a_code_is_taken_by_one_of_many_and_no_earlier_one_after_it,
            an_app_that_counts_is_not_replaced,
            a_recovery_code_is_used_by_one_of_many,
            a_login_goes_on_once,
            one_token_sets_a_password_once,
            a_password_that_was_judged_is_replaced_by_one_of_many,
            a_session_cookie_has_one_successor,
            entries_that_are_forgotten_and_the_horizon_go_together,
            how_young_the_youngest_forgotten_entry_was_is_kept,
            a_log_that_was_compacted_goes_on,
            what_another_branch_issued_is_marked_before_its_position_is_forgotten,
            readers_beside_a_compaction_see_it_whole_or_not_at_all,
            credentials_go_after_their_end_a_few_at_a_time,
            a_redeemed_ticket_goes_with_its_parent,
            a_ticket_goes_so_long_after_its_redemption,
            a_successor_stays_while_its_predecessor_has_not_ended,
            a_session_goes_after_everything_of_it,
            an_api_key_goes_when_it_was_over_for_long_enough,
            a_signing_key_that_something_rests_on_stays,
            external_rows_go_as_their_issuer_can_bring_them_back,
            what_logins_leave_behind_goes,
        );
    };
    ($subject:path: $($sentence:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $sentence() {
                let subject = $subject();
                $crate::$sentence(&subject).await;
            }
        )*
    };
}
