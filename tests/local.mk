# Unit tests: one program with one suite for each test file, no database and no network. `make check` runs them.
if HAVE_CHECK
check_PROGRAMS += tests/unit/unit
TESTS += tests/unit/unit
endif
tests_unit_unit_SOURCES = \
	fcgi-app/push/streams.c \
	tests/db/dice.c tests/db/dice.h \
	tests/db/history.c tests/db/history.h \
	tests/unit/fixture.c tests/unit/fixture.h \
	tests/unit/history_run.c tests/unit/history_run.h \
	tests/unit/json_texts.c tests/unit/json_texts.h \
	tests/unit/library.c tests/unit/library.h \
	tests/unit/main.c \
	tests/unit/merge_cases.c tests/unit/merge_cases.h \
	tests/unit/merge_oracle.c tests/unit/merge_oracle.h \
	tests/unit/merge_random.c tests/unit/merge_random.h \
	tests/unit/recent_server.c tests/unit/recent_server.h \
	tests/unit/test_arena.c \
	tests/unit/test_clock.c \
	tests/unit/test_conf.c \
	tests/unit/test_conf_secret.c \
	tests/unit/test_docs.c \
	tests/unit/test_entity.c \
	tests/unit/test_history_property.c \
	tests/unit/test_json.c \
	tests/unit/test_json_check.c \
	tests/unit/test_json_read.c \
	tests/unit/test_json_split.c \
	tests/unit/test_json_write.c \
	tests/unit/test_kind.c \
	tests/unit/test_kind_set.c \
	tests/unit/test_merge.c \
	tests/unit/test_merge_entity.c \
	tests/unit/test_merge_join.c \
	tests/unit/test_merge_property.c \
	tests/unit/test_merge_row.c \
	tests/unit/test_merge_set.c \
	tests/unit/test_merge_speed.c \
	tests/unit/test_poke.c \
	tests/unit/test_progress.c \
	tests/unit/test_readings.c \
	tests/unit/test_recent.c \
	tests/unit/test_recent_property.c \
	tests/unit/test_token_cache.c \
	tests/unit/test_token_claims.c \
	tests/unit/test_token_keys.c \
	tests/unit/test_token_mint.c \
	tests/unit/test_token_verify.c \
	tests/unit/test_utf8.c \
	tests/unit/test_vectors.c \
	tests/unit/tokens.c tests/unit/tokens.h \
	tests/unit/unit.c tests/unit/unit.h
tests_unit_unit_CPPFLAGS = $(AM_CPPFLAGS) -iquote $(srcdir)/fcgi-app -iquote $(srcdir)/tests/db $(CHECK_CFLAGS)
tests_unit_unit_LDADD = libbooky.a $(CHECK_LIBS) $(BOOKY_LIBS) -lm

# The same against a database: needs BOOKY_TEST_DSN and BOOKY_TEST_ADMIN_DSN, hence not in `make check`.
if HAVE_CHECK
check_PROGRAMS += tests/db/dbtest
endif
tests_db_dbtest_SOURCES = \
	tests/db/main.c \
	tests/db/dice.c tests/db/dice.h \
	tests/db/harness.c tests/db/harness.h \
	tests/db/history.c tests/db/history.h \
	tests/db/test_away.c \
	tests/db/test_clocks.c \
	tests/db/test_connection.c \
	tests/db/test_devices.c \
	tests/db/test_history.c \
	tests/db/test_isolation.c \
	tests/db/test_large.c \
	tests/db/test_plans.c \
	tests/db/test_rules.c \
	tests/db/test_shards.c \
	tests/db/test_siblings.c \
	tests/db/counters.c tests/db/counters.h \
	tests/db/random_requests.c tests/db/random_requests.h \
	tests/db/test_hidden.c \
	tests/db/test_usage.c \
	tests/db/test_views.c
tests_db_dbtest_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_db_dbtest_LDADD = libbooky.a $(CHECK_LIBS) $(BOOKY_LIBS) -lm

# What `./dev bench` measures with.
check_PROGRAMS += tests/bench/fcgiload tests/bench/statements
tests_bench_fcgiload_SOURCES = tests/bench/fcgiload.c tests/bench/recipe.c tests/bench/recipe.h
tests_bench_fcgiload_LDADD = libbooky.a $(BOOKY_LIBS) -lm
tests_bench_statements_SOURCES = tests/bench/statements.c
tests_bench_statements_LDADD = libbooky.a $(BOOKY_LIBS) -lm
bench_files = \
	tests/bench/agent.mjs \
	tests/bench/bench.test.mjs \
	tests/bench/data.mjs \
	tests/bench/choices.mjs \
	tests/bench/growth.mjs \
	tests/bench/limit.mjs \
	tests/bench/options.mjs \
	tests/bench/peer/.npmrc \
	tests/bench/peer/nginx.conf \
	tests/bench/peer/package-lock.json \
	tests/bench/peer/package.json \
	tests/bench/peer/schema.sql \
	tests/bench/peer/server.mjs \
	tests/bench/plot.mjs \
	tests/bench/run.mjs \
	tests/bench/stack.mjs \
	tests/bench/streams.mjs \
	tests/bench/table.mjs \
	tests/bench/workloads.mjs \
	tests/bench/wrk.lua
# Memory that runs out during a request: needs a database too, and the sanitizers to see leaks.
if HAVE_CHECK
check_PROGRAMS += tests/memory/memtest
endif
tests_memory_memtest_SOURCES = \
	tests/memory/fail.c tests/memory/fail.h \
	tests/memory/fastcgi.c tests/memory/fastcgi.h \
	tests/memory/main.c \
	tests/memory/scenarios.c tests/memory/scenarios.h \
	tests/db/harness.c
tests_memory_memtest_CPPFLAGS = $(libserver_a_CPPFLAGS) $(CHECK_CFLAGS)
tests_memory_memtest_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=FCGX_Accept_r -Wl,--wrap=FCGX_Finish_r
tests_memory_memtest_LDADD = libserver.a libbooky.a $(FCGI_LIBS) $(CHECK_LIBS) $(BOOKY_LIBS) -lm

# Fuzz targets. `./dev fuzz` builds them: `make fuzzers LIB_FUZZING_ENGINE=-fsanitize=fuzzer`, configured with CC=clang
# and -fsanitize=fuzzer-no-link in CFLAGS.
fuzzers = \
	tests/fuzz/fuzz_body \
	tests/fuzz/fuzz_conf \
	tests/fuzz/fuzz_fcgi \
	tests/fuzz/fuzz_gzip \
	tests/fuzz/fuzz_json \
	tests/fuzz/fuzz_merge \
	tests/fuzz/fuzz_query \
	tests/fuzz/fuzz_text \
	tests/fuzz/fuzz_token
EXTRA_PROGRAMS += $(fuzzers)
CLEANFILES += $(fuzzers)
fuzzers: $(fuzzers)
.PHONY: fuzzers
tests_fuzz_fuzz_body_SOURCES = tests/fuzz/fuzz_body.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_conf_SOURCES = tests/fuzz/fuzz_conf.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_fcgi_SOURCES = tests/fuzz/fuzz_fcgi.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_fcgi_CPPFLAGS = $(libserver_a_CPPFLAGS)
tests_fuzz_fuzz_gzip_SOURCES = tests/fuzz/fuzz_gzip.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_gzip_CPPFLAGS = $(libserver_a_CPPFLAGS)
tests_fuzz_fuzz_json_SOURCES = tests/fuzz/fuzz_json.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_merge_SOURCES = tests/fuzz/fuzz_merge.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_query_SOURCES = tests/fuzz/fuzz_query.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_query_CPPFLAGS = $(libserver_a_CPPFLAGS)
tests_fuzz_fuzz_text_SOURCES = tests/fuzz/fuzz_text.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_token_SOURCES = tests/fuzz/fuzz_token.c tests/fuzz/fuzz.h
LDADD = libserver.a libbooky.a $(FCGI_LIBS) $(BOOKY_LIBS) -lm $(LIB_FUZZING_ENGINE)

# Tests over HTTP need a server; `./dev check` starts one.
contract_files = \
	tests/contract/.npmrc \
	tests/contract/.spectral.yaml \
	tests/contract/contract.test.mjs \
	tests/contract/device.test.mjs \
	tests/contract/document.mjs \
	tests/contract/errors.test.mjs \
	tests/contract/fields.test.mjs \
	tests/contract/package-lock.json \
	tests/contract/package.json \
	tests/contract/recipes.test.mjs \
	tests/contract/record.mjs \
	tests/contract/redocly.mjs \
	tests/contract/replay.mjs \
	tests/contract/scenarios.mjs \
	tests/contract/sources.test.mjs \
	tests/contract/time.mjs \
	tests/contract/vectors.json

# Clients that generators make from the API description.
clients_files = \
	tests/clients/.npmrc \
	tests/clients/clients.test.mjs \
	tests/clients/dashboard.test.mjs \
	tests/clients/hey-api.ts \
	tests/clients/openapi-fetch.ts \
	tests/clients/orval.ts \
	tests/clients/package-lock.json \
	tests/clients/package.json \
	tests/clients/use.ts

# Other sync engines, each with an adapter that an app can copy.
engines_files = \
	tests/engines/.npmrc \
	tests/engines/booky.mjs \
	tests/engines/devices.mjs \
	tests/engines/dexie.mjs \
	tests/engines/engines.test.mjs \
	tests/engines/history.mjs \
	tests/engines/network.mjs \
	tests/engines/package-lock.json \
	tests/engines/package.json \
	tests/engines/rxdb.mjs \
	tests/engines/tanstack.mjs \
	tests/engines/verdict.mjs \
	tests/engines/verdict.test.mjs \
	tests/engines/watermelondb.mjs

# Tests in a browser, of the demo page and of the client.
e2e_files = \
	tests/e2e/.npmrc \
	tests/e2e/axe.mjs \
	tests/e2e/bare.html \
	tests/e2e/browser.mjs \
	tests/e2e/demo-library.test.mjs \
	tests/e2e/demo-page.test.mjs \
	tests/e2e/demo-sync.test.mjs \
	tests/e2e/demo.test.mjs \
	tests/e2e/docs.test.mjs \
	tests/e2e/example.test.mjs \
	tests/e2e/library.test.mjs \
	tests/e2e/network.test.mjs \
	tests/e2e/origin.test.mjs \
	tests/e2e/package-lock.json \
	tests/e2e/package.json \
	tests/e2e/restart/restart.test.mjs \
	tests/e2e/scenarios.test.mjs \
	tests/e2e/tabs.test.mjs \
	tests/e2e/vite.test.mjs \
	tests/e2e/worker-module.js \
	tests/e2e/worker.js \
	tests/e2e/worker.test.mjs
EXTRA_DIST += tests/package.sh tests/package/debian.sh tests/package/manual.sh tests/package/operate.sh \
	tests/package/stages.sh tests/process.mjs tests/replies.mjs tests/wait.mjs \
	tests/cmd tests/ha tests/http tests/nginx tests/overload tests/pool tests/push tests/torture \
	$(bench_files) $(clients_files) $(contract_files) $(e2e_files) $(engines_files)
