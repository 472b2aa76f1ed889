// One socket of czmq, driven line by line: see peer.py, whose protocol this is, with the options of security alone; and besides
//
//     certificate FILE -> ok    zcert_load, zcert_apply
//     save FILE        -> ok    a new certificate: FILE, and FILE_secret with the secret key
//     folder FOLDER    -> ok    zauth lets in whose certificates are there
//     passwords FILE   -> ok    zauth lets in the users of PLAIN that are there

#include <czmq.h>

#define PERIOD 251
#define SHORT 64

static zsock_t *open_socket(const char *role)
{
    static const struct { const char *name; int type; } types[] = {
        {"PUSH", ZMQ_PUSH}, {"PULL", ZMQ_PULL}, {"PUB", ZMQ_PUB}, {"SUB", ZMQ_SUB},
        {"REQ", ZMQ_REQ}, {"REP", ZMQ_REP}, {"ROUTER", ZMQ_ROUTER}, {"DEALER", ZMQ_DEALER},
        {"PAIR", ZMQ_PAIR}, {"XPUB", ZMQ_XPUB}, {"XSUB", ZMQ_XSUB},
    };
    for (size_t at = 0; at < sizeof types / sizeof *types; at++)
        if (streq(types[at].name, role))
            return zsock_new(types[at].type);
    return NULL;
}

static zframe_t *decode(const char *token)
{
    size_t length = 0;
    if (token[0] == '@') {
        length = strtoul(token + 1, NULL, 10);
        zframe_t *frame = zframe_new(NULL, length);
        for (size_t at = 0; at < length; at++)
            zframe_data(frame)[at] = (byte) (at % PERIOD);
        return frame;
    }
    if (!streq(token, "-"))
        length = strlen(token) / 2;
    zframe_t *frame = zframe_new(NULL, length);
    for (size_t at = 0; at < length; at++)
        sscanf(token + 2 * at, "%2hhx", zframe_data(frame) + at);
    return frame;
}

static void encode(zframe_t *frame)
{
    size_t length = zframe_size(frame);
    const byte *data = zframe_data(frame);
    size_t like_the_pattern = 0;
    while (like_the_pattern < length && data[like_the_pattern] == like_the_pattern % PERIOD)
        like_the_pattern++;
    if (length == 0)
        printf(" -");
    else if (length > SHORT && like_the_pattern == length)
        printf(" @%zu", length);
    else {
        putchar(' ');
        for (size_t at = 0; at < length; at++)
            printf("%02x", data[at]);
    }
}

/* Subscribes, or takes that back: an XSUB does so by messages. */
static bool subscribe(zsock_t *sock, const char *token, bool wanted)
{
    zframe_t *topic = decode(token);
    int done;
    if (streq(zsock_type_str(sock), "XSUB")) {
        zframe_t *command = zframe_new(NULL, zframe_size(topic) + 1);
        zframe_data(command)[0] = wanted;
        memcpy(zframe_data(command) + 1, zframe_data(topic), zframe_size(topic));
        done = zframe_send(&command, sock, 0);
    } else {
        int option = wanted ? ZMQ_SUBSCRIBE : ZMQ_UNSUBSCRIBE;
        done = zmq_setsockopt(zsock_resolve(sock), option, zframe_data(topic), zframe_size(topic));
    }
    zframe_destroy(&topic);
    return done == 0;
}

static bool set(zsock_t *sock, const char *option, const char *value)
{
    static const struct { const char *name; void (*set)(void *, const char *); } texts[] = {
        {"CURVE_PUBLICKEY", zsock_set_curve_publickey}, {"CURVE_SECRETKEY", zsock_set_curve_secretkey},
        {"CURVE_SERVERKEY", zsock_set_curve_serverkey},
    };
    for (size_t at = 0; at < sizeof texts / sizeof *texts; at++)
        if (streq(texts[at].name, option)) {
            zframe_t *frame = decode(value);
            char *text = zframe_strdup(frame);
            texts[at].set(sock, text);
            free(text);
            zframe_destroy(&frame);
            return true;
        }
    if (streq(option, "CURVE_SERVER"))
        zsock_set_curve_server(sock, atoi(value));
    else if (streq(option, "PLAIN_SERVER"))
        zsock_set_plain_server(sock, atoi(value));
    else
        return false;
    return true;
}

static bool certificate(zsock_t *sock, const char *file)
{
    zcert_t *cert = zcert_load(file);
    if (!cert)
        return false;
    zcert_apply(cert, sock);
    zcert_destroy(&cert);
    return true;
}

static bool save(const char *file)
{
    zcert_t *cert = zcert_new();
    int done = zcert_save(cert, file);
    zcert_destroy(&cert);
    return done == 0;
}

/* Tells the one authenticator, which decides for every socket of the process. */
static bool tell_auth(zactor_t **auth, const char *what, const char *with)
{
    if (!*auth)
        *auth = zactor_new(zauth, NULL);
    return *auth && zstr_sendx(*auth, what, with, NULL) == 0 && zsock_wait(*auth) == 0;
}

static bool send_frames(zsock_t *sock, char *token)
{
    zmsg_t *message = zmsg_new();
    for (; token; token = strtok(NULL, " ")) {
        zframe_t *frame = decode(token);
        zmsg_append(message, &frame);
    }
    return zmsg_send(&message, sock) == 0;
}

static void recv_frames(zsock_t *sock, int patience)
{
    zpoller_t *poller = zpoller_new(sock, NULL);
    bool ready = zpoller_wait(poller, patience) != NULL;
    zpoller_destroy(&poller);
    zmsg_t *message = ready ? zmsg_recv(sock) : NULL;
    if (!message) {
        puts("none");
        return;
    }
    printf("msg");
    for (zframe_t *frame = zmsg_first(message); frame; frame = zmsg_next(message))
        encode(frame);
    putchar('\n');
    zmsg_destroy(&message);
}

int main(void)
{
    zsock_t *sock = NULL;
    zactor_t *auth = NULL;
    char *line = NULL;
    size_t room = 0;
    zsys_set_linger(0);
    while (getline(&line, &room, stdin) > 0) {
        line[strcspn(line, "\n")] = 0;
        const char *command = strtok(line, " ");
        char *first = strtok(NULL, " ");
        bool done = true;
        if (streq(command, "open"))
            done = (sock = open_socket(first)) != NULL;
        else if (streq(command, "bind")) {
            if (zsock_bind(sock, "%s", first) != -1) {
                printf("ok %s\n", zsock_endpoint(sock));
                fflush(stdout);
                continue;
            }
            done = false;
        } else if (streq(command, "connect"))
            done = zsock_connect(sock, "%s", first) == 0;
        else if (streq(command, "subscribe"))
            done = subscribe(sock, first, true);
        else if (streq(command, "unsubscribe"))
            done = subscribe(sock, first, false);
        else if (streq(command, "set"))
            done = set(sock, first, strtok(NULL, " "));
        else if (streq(command, "certificate"))
            done = certificate(sock, first);
        else if (streq(command, "save"))
            done = save(first);
        else if (streq(command, "folder"))
            done = tell_auth(&auth, "CURVE", first);
        else if (streq(command, "passwords"))
            done = tell_auth(&auth, "PLAIN", first);
        else if (streq(command, "send"))
            done = send_frames(sock, first);
        else if (streq(command, "recv")) {
            recv_frames(sock, atoi(first));
            fflush(stdout);
            continue;
        } else
            done = false;
        puts(done ? "ok" : "error");
        fflush(stdout);
    }
    free(line);
    zsock_destroy(&sock);
    zactor_destroy(&auth);
    return 0;
}
