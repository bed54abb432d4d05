"""Each row of the threat model names the tests that hold it, and they are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent.parent
TEXT: Final = (ROOT / "SECURITY.md").read_text().partition("\n## Threat model\n")[2]

# By a row's first words, or a paragraph's: file, colon, and what a test's name begins with.
HELD: Final = {
    "on the network": (
        "exactly_once/test_faults: without_a_broker_it_ends_with_69",
        "exactly_once/test_late_requests: a_commit_that_comes_late_commits_no_records",
        "kafka/test_intruders: a_worker_that_lacks_anything_writes_and_commits_nothing",
        "kafka/test_intruders: a_connection_cut_anywhere_on_its_way_in_is_no_refusal",
    ),
    "who reaches a worker's port": (
        "worker/test_server: no_request_makes_a_server_error_or_a_word_on_stderr",
        "worker/test_server: silent_clients_do_not_keep_the_health_of_a_worker",
        "worker/test_server: a_rude_client_adds_nothing_to_the_log_but_whole_objects",
    ),
    "who reaches the page": (
        "monitor/test_guard: there_is_one_page_and_it_is_only_read",
        "monitor/test_page: a_crowd_is_bounded_told_and_forgotten",
        "monitor/test_page: as_many_as_it_serves_do_not_delay_its_health",
        "monitor/test_page: frames_of_others_write_nothing_to_the_log",
    ),
    "another site in a viewer's browser": (
        "monitor/test_guard: another_name_reads_nothing_and_opens_nothing",
        "monitor/test_guard: another_origin_reads_nothing_and_opens_no_socket",
        "monitor/test_guard: a_page_of_another_origin_may_link_to_it_and_embed_nothing",
    ),
    "who writes to `dominate`": (
        "core/test_fuzz: whatever_is_sent_leaves_a_running_worker_once",
        "core/test_ratings: a_reason_never_quotes_the_record",
        "cli/test_foreign_letters: a_letter_whose_record_looked_like_a_mark_is_a_letter",
        "cli/test_hostile_letters: no_record_of_others_breaks_a_command_or_hides_a_letter",
        "exactly_once/test_memory: a_batch_that_grows_too_large_becomes_dead_letters",
        "worker/test_memory_watch: a_batch_that_fills_memory_ends_a_worker_with_its_place",
        "seams/test_escapes: no_line_of_a_log_can_be_forged",
    ),
    "who writes to `dominate.dead-letter`": (
        "cli/test_foreign_letters: letters_go_to_the_input_topic_whatever_they_say",
        "cli/test_foreign_letters: only_what_has_nothing_but_its_header_is_a_mark",
        "cli/test_foreign_letters: what_others_wrote_moves_no_cursor",
        "cli/test_hostile_letters: whatever_a_record_has_it_is_a_letter_that_can_be_shown",
        "cli/test_hostile_letters: no_record_of_others_breaks_a_command_or_hides_a_letter",
        "cli/test_replay: a_transaction_that_stays_open_is_named_and_nothing_is_sent",
    ),
    "who writes to `shadow`": (
        "clickhouse/test_schema: what_is_no_shadow_is_kept_whole_with_its_reason",
        "clickhouse/test_ttl: a_row_is_kept_for_the_days_set_whatever_its_own_time_says",
        "monitor/test_sources: rows_from_the_future_are_told_and_hide_nothing",
    ),
    "with the transactional id's right": (
        "exactly_once/test_delivery: an_intruder_with_its_transactional_id_ends_the_worker",
        "kafka/test_intruders: a_worker_that_lacks_anything_writes_and_commits_nothing",
    ),
    "with the group's right": (
        "exactly_once/test_delivery: a_worker_evicted_from_the_group_joins_again",
        "exactly_once/test_delivery: offsets_that_are_gone_end_the_worker_instead_of_a_replay",
        "kafka/test_intruders: a_worker_that_lacks_anything_writes_and_commits_nothing",
    ),
    "in the monitor's place": (
        "kafka/test_rights: the_monitor_needs_the_rights_that_are_written_for_it",
        "seams/test_compose: with_these_grants_it_may_ask_what_it_asks",
    ),
    "in a worker's place, in Kubernetes": (
        "seams/test_kubernetes: the_worker_is_given_no_secret_that_its_settings_do_not_name",
        "seams/test_kubernetes: each_pod_is_reached_at_its_one_port",
    ),
    "in another pod of the cluster": (
        "seams/test_kubernetes: each_pod_is_reached_at_its_one_port",
        "seams/test_kubernetes: the_page_without_a_password_is_reached_by_a_proxy",
    ),
    "on the host, another user": (
        "exactly_once/test_identity: two_live_workers_on_a_host_never_share_a_name",
        "exactly_once/test_identity: a_name_needs_no_file_that_someone_could_delete",
        "kafka/test_intruders: with_the_rights_written_for_it_a_worker_does_its_work",
        "demo/test_demo: rows_are_kept_where_asked",
    ),
    "on the host, the same user, or root": (),  # Nothing is kept from them.
    "`dominate`": ("kafka/test_rights: replay_needs_the_rights_that_are_written_for_it",),
    "`shadow`": ("kafka/test_intruders: with_the_rights_written_for_it_a_worker_does_its_work",),
    "`dominate.dead-letter`": (
        "kafka/test_rights: replay_needs_the_rights_that_are_written_for_it",
    ),
    "`DOMINATION_HTTP` of a worker": (
        "core/test_settings: an_address_is_a_port_alone_or_one_with_its_host",
        "kafka/test_intruders: with_the_rights_written_for_it_a_worker_does_its_work",
    ),
    "`DOMINATION_MONITOR` of the page": ("demo/test_demo: it_listens_here_only",),
    "Bytewax's own server, 3030": (
        "cli/test_cli: a_worker_does_not_let_bytewax_listen_everywhere",
        "cli/test_cli: whoever_says_that_bytewax_may_listen_everywhere_is_believed",
    ),
    "a Bytewax cluster (`-i`, `-a`)": (),  # It is as open as its addresses are.
    "`docker-compose.yml`": ("seams/test_compose: a_port_is_open_to_this_host_alone",),
    "Secrets": (
        "core/test_secret: what_the_query_of_a_url_may_keep_secret_is_hidden",
        "core/test_secret: only_a_regular_file_of_a_sensible_size_is_read",
        "clickhouse/test_clickhouse: a_login_that_is_refused_is_one_line_without_the_password",
        "clickhouse/test_login: with_the_rights_that_are_written_for_it_rows_come",
        "clickhouse/test_login: print_has_the_password_only_where_it_is_asked_for",
        "kafka/test_intruders: no_password_is_printed",
        "kafka/test_intruders: librdkafka_logs_no_password_at_its_most_talkative",
    ),
    "Text of others": (
        "seams/test_escapes: whatever_writes_escapes_what_is_not_ours",
        "seams/test_escapes: a_bug_and_a_wrong_argument_are_told",
    ),
    "Ports": (
        "worker/test_server: the_newest_connections_stay_and_no_thread_is_left",
        "seams/test_compose: a_port_is_open_to_this_host_alone",
    ),
    "Containers": (
        "seams/test_compose: each_container_has_no_capability_and_gains_no_privilege",
        "seams/test_compose: our_containers_have_no_file_to_write_to",
        "seams/test_kubernetes: it_runs_as_nobody_on_files_that_it_cannot_change",
    ),
    "Memory": (
        "worker/test_memory_watch: before_that_it_says_where_it_reads",
        "exactly_once/test_memory: the_largest_batches_that_are_read_fit_into_the_manifest",
    ),
}
# They say what the rest is about.
PREMISES: Final = {"What is worth protecting", "Trusted"}


def rows() -> list[str]:
    """Give the first cell of each row of the tables."""
    tables = re.findall(r"(?:^\|.*\n)+", TEXT, re.MULTILINE)
    found = [row.split(" | ")[0].lstrip("| ") for each in tables for row in each.splitlines()[2:]]
    assert len(tables) == 3
    return found


def paragraphs() -> dict[str, str]:
    """Give the paragraphs by their first words, which are bold."""
    found = re.findall(r"^\*\*([^*]+?):?\*\*(.*?)(?=\n\n|\Z)", TEXT, re.MULTILINE | re.DOTALL)
    return dict(found)


def test_each_row_of_the_threat_model_is_held_and_nothing_else_is() -> None:
    # A paragraph may name its tests itself.
    told = {each for each, text in paragraphs().items() if "`tests/" not in text} - PREMISES
    assert sorted({*rows(), *told}) == sorted(HELD)


@pytest.mark.parametrize(
    "held", sorted({each for tests in HELD.values() for each in tests}), ids=str
)
def test_each_test_that_holds_a_row_is_there(held: str) -> None:
    file, name = held.split(": ")
    tree = ast.parse((ROOT / "tests" / f"{file}.py").read_text())
    names = [each.name for each in ast.walk(tree) if isinstance(each, ast.FunctionDef)]
    assert len([each for each in names if each.startswith(f"test_{name}")]) == 1


def test_each_file_of_tests_that_a_paragraph_names_is_there() -> None:
    for file in re.findall(r"`(tests/[^`]+)`", TEXT):
        assert (ROOT / file).is_file()
