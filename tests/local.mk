# Unit tests: one program, one suite a file, no database and no network. `make check` runs them.
if HAVE_CHECK
check_PROGRAMS += tests/unit/unit
TESTS += tests/unit/unit
endif
tests_unit_unit_SOURCES = \
	fcgi-app/streams.c \
	tests/unit/main.c \
	tests/unit/test_arena.c \
	tests/unit/test_clock.c \
	tests/unit/test_conf.c \
	tests/unit/test_docs.c \
	tests/unit/test_json.c \
	tests/unit/test_kind.c \
	tests/unit/test_merge.c \
	tests/unit/test_merge_property.c \
	tests/unit/test_poke.c \
	tests/unit/test_token.c \
	tests/unit/test_vectors.c
tests_unit_unit_CPPFLAGS = $(AM_CPPFLAGS) -iquote $(srcdir)/fcgi-app $(CHECK_CFLAGS)
tests_unit_unit_LDADD = libbooky.a $(CHECK_LIBS) $(BOOKY_LIBS) -lm

# The same against a database: needs BOOKY_TEST_DSN and BOOKY_TEST_ADMIN_DSN, hence not in `make check`.
if HAVE_CHECK
check_PROGRAMS += tests/db/dbtest
endif
tests_db_dbtest_SOURCES = \
	tests/db/main.c \
	tests/db/harness.c tests/db/harness.h \
	tests/db/history.c tests/db/history.h \
	tests/db/test_clocks.c \
	tests/db/test_connection.c \
	tests/db/test_devices.c \
	tests/db/test_history.c \
	tests/db/test_isolation.c \
	tests/db/test_plans.c \
	tests/db/test_rules.c \
	tests/db/test_shards.c \
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
	tests/bench/bench.sh \
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
	tests/bench/table.mjs \
	tests/bench/workloads.mjs \
	tests/bench/wrk.lua
# Memory that runs out during a request: needs the same, and the sanitizers to see leaks.
if HAVE_CHECK
check_PROGRAMS += tests/memory/memtest
endif
tests_memory_memtest_SOURCES = \
	tests/memory/fail.c tests/memory/fail.h \
	tests/memory/main.c \
	tests/db/harness.c
tests_memory_memtest_CPPFLAGS = $(libserver_a_CPPFLAGS) $(CHECK_CFLAGS)
tests_memory_memtest_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=FCGX_Accept_r -Wl,--wrap=FCGX_Finish_r
tests_memory_memtest_LDADD = libserver.a libbooky.a $(FCGI_LIBS) $(CHECK_LIBS) $(BOOKY_LIBS) -lm

# Fuzz targets, built by `make fuzzers LIB_FUZZING_ENGINE=-fsanitize=fuzzer` where CC is clang and CFLAGS have
# -fsanitize=fuzzer-no-link; `./dev fuzz` does that.
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
tests_fuzz_fuzz_gzip_SOURCES = tests/fuzz/fuzz_gzip.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_json_SOURCES = tests/fuzz/fuzz_json.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_merge_SOURCES = tests/fuzz/fuzz_merge.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_query_SOURCES = tests/fuzz/fuzz_query.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_text_SOURCES = tests/fuzz/fuzz_text.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_token_SOURCES = tests/fuzz/fuzz_token.c tests/fuzz/fuzz.h
LDADD = libserver.a libbooky.a $(FCGI_LIBS) $(BOOKY_LIBS) -lm $(LIB_FUZZING_ENGINE)

# Tests over HTTP need a server; `./dev check` starts one.
contract_files = \
	tests/contract/.npmrc \
	tests/contract/.spectral.yaml \
	tests/contract/contract.test.mjs \
	tests/contract/document.mjs \
	tests/contract/errors.test.mjs \
	tests/contract/fields.test.mjs \
	tests/contract/package-lock.json \
	tests/contract/package.json \
	tests/contract/recipes.test.mjs \
	tests/contract/record.mjs \
	tests/contract/replay.mjs \
	tests/contract/scenarios.mjs \
	tests/contract/sources.test.mjs \
	tests/contract/time.mjs \
	tests/contract/vectors.json

# Tests in a browser, of the demo page and of the client.
e2e_files = \
	tests/e2e/.npmrc \
	tests/e2e/bare.html \
	tests/e2e/browser.mjs \
	tests/e2e/demo.test.mjs \
	tests/e2e/network.test.mjs \
	tests/e2e/package-lock.json \
	tests/e2e/package.json \
	tests/e2e/restart/restart.test.mjs \
	tests/e2e/scenarios.test.mjs \
	tests/e2e/tabs.test.mjs
EXTRA_DIST += tests/check.sh tests/package.sh tests/torture.sh tests/wait.mjs tests/ha tests/http tests/nginx tests/overload tests/pool tests/push \
	tests/torture $(bench_files) $(contract_files) $(e2e_files)
