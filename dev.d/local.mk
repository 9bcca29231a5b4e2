# The parts of ./dev.
EXTRA_DIST += \
	dev.d/bench.sh \
	dev.d/build.sh \
	dev.d/check.sh \
	dev.d/check_build.sh \
	dev.d/check_server.sh \
	dev.d/check_sources.sh \
	dev.d/check_tour.sh \
	dev.d/citus.sh \
	dev.d/database.sh \
	dev.d/example.sh \
	dev.d/fuzz.sh \
	dev.d/ha.sh \
	dev.d/image.sh \
	dev.d/includes.awk \
	dev.d/nginx.sh \
	dev.d/packages.sh \
	dev.d/page.sh \
	dev.d/process.sh \
	dev.d/server.sh \
	dev.d/stack.sh \
	dev.d/step.sh \
	dev.d/torture.sh \
	dev.d/up.sh
