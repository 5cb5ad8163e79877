"""Every metric by its name: the one list, from which the exporter makes families and `docs/metrics.md` is checked."""

from __future__ import annotations

from typing import NamedTuple


class Metric(NamedTuple):
    """One metric, named as Prometheus stores it."""

    name: str
    kind: str
    """`gauge`, `counter` or `histogram`."""
    help: str
    labels: tuple[str, ...] = ()


def _gauge(name: str, text: str, *labels: str) -> Metric:
    return Metric(name, "gauge", text, labels)


def _counter(name: str, text: str, *labels: str) -> Metric:
    return Metric(name, "counter", text, labels)


ALWAYS = (
    _gauge("geosteer_build_info", "Version of this program; always 1.", "version"),
    _gauge("geosteer_collect_seconds", "Time that it took to gather what comes from there.", "source"),
    _gauge("geosteer_series_dropped", "Series left out because a metric had too many."),
)
"""Of the exporter itself."""

WORKERS = (
    _counter(
        "geosteer_answers_total", "Questions answered with this node as the first one, for each record type of the answer.",
        "front_end", "service", "type", "node", "layer", "tier",
    ),
    _counter("geosteer_questions_total", "Questions to workers, by what became of them.", "front_end", "zone", "outcome"),
    _counter("geosteer_questions_overflow_total", "Questions that are counted here alone, for lack of room.", "front_end"),
    Metric(
        "geosteer_answer_duration_seconds", "histogram",
        "Time from reading a question to its answer; answers from memory are not measured and count as 0.", ("front_end",),
    ),
    _counter("geosteer_page_cache_hits_total", "Look-ups in pages that were in memory.", "front_end"),
    _counter("geosteer_page_cache_misses_total", "Pages that a look-up missed and asked Redis for.", "front_end"),
    _counter("geosteer_redis_errors_total", "Trouble of workers with Redis.", "front_end", "kind"),
    _counter("geosteer_redis_reconnections_total", "Connections of workers to Redis after the first one.", "front_end"),
    _counter("geosteer_waits_total", "Times that a question waited for Redis.", "front_end"),
    _counter("geosteer_wait_timeouts_total", "Waits that ended without what was waited for.", "front_end"),
    _counter("geosteer_decision_log_lines_total", "Lines that were written to the decision log.", "front_end"),
    _counter("geosteer_decision_log_lines_lost_total", "Lines of the decision log that could not be written.", "front_end"),
    _counter("geosteer_beacon_events_total", "What clients measured and reported, by what became of it.", "what", "outcome"),
    _gauge("geosteer_workers", "Workers that run, by where their answers come from.", "front_end", "tier"),
    _gauge("geosteer_workers_silent", "Workers that run and have not written down their state for 30 s.", "front_end"),
    _gauge("geosteer_workers_generation_min", "Oldest generation that a worker answers from.", "front_end"),
    _gauge("geosteer_workers_generation_max", "Newest generation that a worker answers from.", "front_end"),
    _gauge("geosteer_workers_cache_bytes", "Memory of all workers for pages.", "front_end"),
    _gauge("geosteer_workers_oldest_wait_seconds", "Age of the oldest question that a worker still works on.", "front_end"),
    _gauge("geosteer_worker_files", "Files of counters.", "front_end"),
    _gauge("geosteer_worker_files_damaged", "Files of counters that cannot be read, in all front ends."),
)  # fmt: skip
"""From the files of this host's workers."""

REDIS = (
    _gauge("geosteer_redis_up", "Whether Redis told all of it in time; all below is missing while it is 0."),
    _gauge("geosteer_redis_primary", "Whether the Redis that is asked is a primary."),
    _gauge("geosteer_redis_replicas", "Replicas that are connected to it, by the state of their link.", "state"),
    _gauge("geosteer_redis_replica_lag_bytes", "What a replica has not taken in yet.", "replica"),
    _gauge("geosteer_redis_values_unreadable", "Parts of this page that the user may not read (ACL)."),
    _gauge("geosteer_warnings", "Warnings of `geosteer status`."),
    _gauge("geosteer_generation", "Number of the generation that is published."),
    _gauge("geosteer_published_timestamp_seconds", "When it was published."),
    _gauge("geosteer_held", "Whether a rollback holds further publishes back."),
    _gauge("geosteer_services", "Services that are published."),
    _gauge("geosteer_zones", "Zones that are published."),
    _gauge("geosteer_table_data_timestamp_seconds", "Date of a table's data.", "table"),
    _gauge("geosteer_table_max_age_seconds", "Age of its data that calls for a warning ([guard] max_age).", "table"),
    _gauge("geosteer_table_ranges", "Ranges of a table.", "table"),
    _gauge("geosteer_table_prefixes", "Prefixes of a table.", "table"),
    _gauge("geosteer_table_complete", "Whether a table's root pages are in Redis.", "table"),
    _gauge("geosteer_table_routes", "Routes of a table, by RPKI state: valid, invalid, not_found.", "table", "state"),
    _gauge("geosteer_rpki_vrps", "ROA payloads by which a table's routes were judged.", "table"),
    _gauge("geosteer_rpki_data_timestamp_seconds", "When the validator wrote them.", "table"),
    _gauge("geosteer_rpki_kept", "Whether earlier ones are in use, since the validator's file is not usable.", "table"),
    _gauge("geosteer_bgp_session_up", "Whether a BGP session is whole and followed.", "stream", "peer"),
    _gauge("geosteer_bgp_session_prefixes", "Prefixes that it has, or had last.", "stream", "peer", "family"),
    _counter("geosteer_bgp_session_losses_total", "How often it was lost since the service started.", "stream", "peer"),
    _gauge("geosteer_bgp_session_told_timestamp_seconds", "When the service last told of it.", "stream", "peer"),
    _gauge("geosteer_publish_failing", "Whether the last publish failed or was refused."),
    _gauge("geosteer_publish_failing_since_timestamp_seconds", "First failure since a publish succeeded."),
    _gauge("geosteer_publish_failure_timestamp_seconds", "Last failure, by guard; an empty guard: none refused it.", "guard"),
    _gauge("geosteer_map_without_node", "Maps of which no node may be given to clients; always 1.", "map"),
    _gauge("geosteer_node_state", "State of a node by its checks: 1 for the state it is in.", "node", "state"),
    _gauge("geosteer_node_state_timestamp_seconds", "Since when it is in that state.", "node"),
    _gauge("geosteer_node_serving", "Whether clients may be given this node.", "node"),
    _gauge("geosteer_node_failing", "Whether checks fail, but not yet often enough to call it down.", "node"),
    _gauge("geosteer_node_share_ratio", "Part of its clients that a node keeps.", "node"),
    _gauge("geosteer_node_shed_ratio", "Part of its clients that a loaded node gives away.", "node"),
    _gauge("geosteer_node_load", "Load as a feed reported it, in the unit of the node's capacity.", "node"),
    _gauge("geosteer_node_checked_timestamp_seconds", "When a node was last checked, by any prober.", "node"),
    _gauge("geosteer_node_checks_expired", "Whether a node that has checks is not checked any more, or never was.", "node"),
    _gauge("geosteer_override", "Overrides by operators that are in force; always 1.", "node", "state"),
    _gauge("geosteer_override_kept_ratio", "Part of its clients that an override leaves to a node.", "node"),
    _gauge("geosteer_override_end_timestamp_seconds", "When an override ends; missing for one without end.", "node"),
    _gauge("geosteer_check_up", "Whether a check holds the node for up.", "prober", "node", "check"),
    _gauge("geosteer_check_duration_seconds", "Time of the last probe.", "prober", "node", "check"),
    _gauge("geosteer_check_timestamp_seconds", "When it was made.", "prober", "node", "check"),
    _gauge("geosteer_certificate_end_timestamp_seconds", "End of the certificate that it showed.", "prober", "node", "check"),
    _gauge("geosteer_prober_beat_timestamp_seconds", "Last beat of who keeps node states.", "prober"),
    _gauge("geosteer_prober_period_seconds", "Time between its beats; 0: no beat is promised.", "prober"),
    _gauge("geosteer_prober_silent", "Whether workers take it for dead.", "prober"),
)  # fmt: skip
"""From Redis."""

LATENCY = (
    _gauge("geosteer_latency_up", "Whether the database of measured times can be read; all below is missing while it is 0."),
    _gauge("geosteer_latency_sample_timestamp_seconds", "When the newest sample was measured."),
    _gauge("geosteer_latency_window_timestamp_seconds", "When the last window ended."),
    _counter("geosteer_latency_samples_total", "Samples that were taken."),
    _counter("geosteer_latency_refused_total", "Lines of inputs that do not count.", "reason"),
    _gauge("geosteer_latency_networks", "Client networks of which there are samples."),
    _gauge("geosteer_latency_records", "Networks, announced prefixes and ASes whose times are known.", "level"),
    _gauge("geosteer_latency_window_changes", "Of these, whose times the last window changed."),
    _gauge(
        "geosteer_latency_window_left_out",
        "Samples, decayed, that the last window left out: faster than light, above the cap, of an AS below the quorum.",
        "reason",
    ),
    _gauge("geosteer_latency_nodes_failing", "Nodes that are passed over where they fail; each AS and network counts."),
)  # fmt: skip
"""From the database of measured times on this host."""

METRICS = {metric.name: metric for metric in (*ALWAYS, *WORKERS, *REDIS, *LATENCY)}
