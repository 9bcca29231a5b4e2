# The Debian package. To build it from a checkout or from the tarball: dpkg-buildpackage -us -uc
EXTRA_DIST += \
	debian/booky-sync.README.Debian \
	debian/booky-sync.lintian-overrides \
	debian/booky-sync.postrm \
	debian/changelog \
	debian/control \
	debian/copyright \
	debian/rules \
	debian/source/format \
	debian/source/lintian-overrides
