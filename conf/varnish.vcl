# Varnish in front of geosteer-http: clients are redirected to their node.
# Start geosteer-http with --trust 127.0.0.1, so that it believes X-Forwarded-For.
vcl 4.1;

import std;

backend geosteer {
    .host = "127.0.0.1";
    .port = "8302";
    .connect_timeout = 0.2s;
    .first_byte_timeout = 0.5s;
    .probe = {
        .url = "/.geosteer/health";
        .interval = 500ms;
        .timeout = 500ms;
        .window = 4;
        .threshold = 2;
        .initial = 2;
    }
}

sub vcl_recv {
    # What pages measure is for clients, if [beacon] of geosteer-http's settings asks for it; health and explanations are not.
    if (req.url ~ "^/\.geosteer/" && req.url !~ "^/\.geosteer/(candidates|beacon|beacon\.js|reports)(\?|$)") {
        return (synth(404));
    }
    if (req.http.host ~ "(?i)(^|\.)cdn\.example\.net\.?(:[0-9]+)?$") {
        # Set, not appended: values from clients are dropped.
        set req.http.X-Forwarded-For = client.ip;
        set req.http.X-Forwarded-Proto = "http";
        set req.backend_hint = geosteer;
        # A redirect is about one client; nobody else may get it from a cache.
        return (pass);
    }
    return (synth(404));
}

# The last resort, when geosteer-http does not answer: well-connected nodes, in proportion.
sub vcl_backend_error {
    set beresp.http.node = std.random(0, 40);
    if (std.real(beresp.http.node, 0) < 10) {
        set beresp.http.node = "lon1.cdn.example.net";
    } elsif (std.real(beresp.http.node, 0) < 20) {
        set beresp.http.node = "ams1.cdn.example.net";
    } else {
        set beresp.http.node = "nyc1.cdn.example.net";
    }
    set beresp.status = 302;
    set beresp.reason = "Found";
    set beresp.http.Location = "http://" + beresp.http.node + bereq.url;
    set beresp.http.Cache-Control = "private, max-age=10";
    unset beresp.http.node;
    set beresp.body = "";
    return (deliver);
}
