#include "scenarios.h"

#define GET(path) {.method = "GET", .uri = "/api/sync" path}
#define POST(path, text) {.method = "POST", .uri = "/api/sync" path, .body = text}
#define OPERATIONS(list) POST("/operations", "{\"operations\":[" list "],\"deviceId\":\"phone\"}")
#define OPERATION(op, type, kind, id, at, more)                                                                        \
    "{\"id\":\"" op "\",\"type\":\"" type "\",\"entity\":\"" kind "\",\"entityId\":\"" id "\",\"timestamp\":" at more  \
    "}"
#define UPDATE(op, at, members) OPERATION(op, "update", "book", "b", at, ",\"data\":{" members "}")

#define A_BOOK                                                                                                         \
    OPERATIONS(OPERATION(                                                                                              \
        "c", "create", "book", "b", "1700000005000",                                                                   \
        ",\"data\":{\"title\":\"T\",\"extra\":{\"a\":[1,2.5,\"x\"],\"b\":{}}}") "," OPERATION("r", "create", "rating", \
                                                                                              "r1", "1700000005000",   \
                                                                                              ",\"data\":{\"bookId\":" \
                                                                                              "\"b\",\"stars\":4.5}"))
#define A_CONFLICT                                                                                                     \
    OPERATIONS(UPDATE("o1", "1700000001000", "\"title\":\"Older\",\"pageCount\":12") "," UPDATE(                       \
        "o2", "1700000009000", "\"extra\":{\"a\":null,\"c\":{\"d\":\"\\u00e9\"}}"))
#define A_QUESTION                                                                                                     \
    OPERATIONS(OPERATION("o3", "update", "book", "b", "1700000001000",                                                 \
                         ",\"conflictResolution\":\"manual\",\"data\":{\"title\":\"Older\"}"))
#define QUEUED POST("/queue", UPDATE("q1", "1700000009000", "\"title\":\"Queued\",\"x\":[1,{\"y\":2}]"))
#define FULL                                                                                                           \
    POST("/full", "{\"books\":[{\"id\":\"b\",\"title\":\"F\"},{\"id\":\"n\",\"title\":\"New\",\"tags\":[\"x\"]}],"     \
                  "\"ratings\":[],\"mode\":\"replace\"}")
#define FULL_KEPT                                                                                                      \
    POST("/full", "{\"books\":[{\"id\":\"n\",\"title\":\"New\"}],\"ratings\":[],\"shelves\":[{\"id\":1}]}")
#define PACKED                                                                                                         \
    {.method = "POST",                                                                                                 \
     .uri = "/api/sync/queue",                                                                                         \
     .body = UPDATE("q2", "1700000009000", "\"title\":\"Packed\""),                                                    \
     .gzip = true}
#define MERGED POST("/conflicts/*/resolve", "{\"resolution\":\"merge\",\"mergedData\":{\"title\":\"Both\"}}")

const scenario scenarios[] = {
    {.name = "operations with conflicts", .before = {A_BOOK}, .request = A_CONFLICT},
    {.name = "operations repeated", .before = {A_BOOK, A_CONFLICT}, .request = A_CONFLICT},
    {.name = "changes",
     .before = {A_BOOK, A_CONFLICT},
     .request = GET("/changes?since=0&limit=10&entities=book,rating"),
     .streamed = true},
    {.name = "changes by size",
     .before = {A_BOOK, A_CONFLICT},
     .request = GET("/changes?since=0&maxBytes=100&count=true&delta=true&entities=book&entities=rating"),
     .streamed = true},
    {.name = "one entity", .before = {A_BOOK}, .request = GET("/entities/book/b")},
    {.name = "full", .before = {A_BOOK}, .request = FULL},
    {.name = "full, kept and ignored", .before = {A_BOOK}, .request = FULL_KEPT},
    {.name = "queue", .before = {A_BOOK}, .request = QUEUED},
    {.name = "queue, compressed", .before = {A_BOOK}, .request = PACKED},
    {.name = "pending", .before = {A_BOOK, QUEUED}, .request = GET("/pending")},
    {.name = "pending applied", .before = {A_BOOK, QUEUED}, .request = POST("/pending/apply", NULL)},
    {.name = "mark synced",
     .before = {QUEUED},
     .request = POST("/mark-synced", "{\"operationIds\":[\"q1\",\"none\"]}")},
    {.name = "conflicts", .before = {A_BOOK, A_CONFLICT, A_QUESTION}, .request = GET("/conflicts?limit=5")},
    {.name = "conflict resolved", .before = {A_BOOK, A_QUESTION}, .request = MERGED},
    {.name = "snapshot restored", .before = {A_BOOK, FULL}, .request = POST("/snapshots/*/restore", NULL)},
    {.name = "status", .before = {A_BOOK}, .request = GET("/status")},
    {.name = "export", .before = {A_BOOK, A_CONFLICT}, .request = GET("/export"), .streamed = true},
    {.name = "erasure", .before = {A_BOOK}, .request = {.method = "DELETE", .uri = "/api/sync/account"}},
    {.name = "connecting", .before = {A_BOOK}, .request = GET("/status"), .disconnect = true, .step = 23},
};

const size_t scenario_count = sizeof scenarios / sizeof *scenarios;
