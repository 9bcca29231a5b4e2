# Unit tests: one program, one suite a file, no database and no network. `make check` runs them.
if HAVE_CHECK
check_PROGRAMS += tests/unit/unit
TESTS += tests/unit/unit
endif
tests_unit_unit_SOURCES = \
	tests/unit/main.c \
	tests/unit/test_arena.c \
	tests/unit/test_clock.c \
	tests/unit/test_conf.c \
	tests/unit/test_json.c \
	tests/unit/test_kind.c \
	tests/unit/test_merge.c \
	tests/unit/test_merge_property.c \
	tests/unit/test_token.c
tests_unit_unit_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_unit_unit_LDADD = libbooky.a $(CHECK_LIBS) $(BOOKY_LIBS) -lm

# Tests over HTTP need a server; `./dev check` starts one.
EXTRA_DIST += tests/http tests/nginx
