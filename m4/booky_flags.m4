dnl BOOKY_ADD_CFLAG(VARIABLE, FLAG, [required])
dnl BOOKY_ADD_LDFLAG(VARIABLE, FLAG, [required])
dnl Appends FLAG to VARIABLE if a program builds with it without a warning, in addition to the CFLAGS and CPPFLAGS of
dnl the user. Therefore -O0 omits _FORTIFY_SOURCE, and a packager's own -D_FORTIFY_SOURCE=3 stays as it is. With
dnl `required`, configure fails if the flag cannot be used.
AC_DEFUN([BOOKY_ADD_FLAG], [
  AC_MSG_CHECKING([whether $CC takes $3])
  booky_save_$1=$[]$1
  booky_save_werror=$CFLAGS
  CFLAGS="$CFLAGS -Werror"
  $1="$[]$1 $3"
  AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <string.h>]], [[char s[8]; memset(s, 0, sizeof s); return s[0];]])],
    [booky_takes=yes], [booky_takes=no])
  CFLAGS=$booky_save_werror
  $1=$booky_save_$1
  AC_MSG_RESULT([$booky_takes])
  AS_IF([test $booky_takes = yes], [$2="$[]$2 $3"],
    [m4_ifval([$4], [AC_MSG_ERROR([$CC cannot build with $3])], [:])])
])
AC_DEFUN([BOOKY_ADD_CFLAG], [BOOKY_ADD_FLAG([CFLAGS], [$1], [$2], [$3])])
AC_DEFUN([BOOKY_ADD_LDFLAG], [BOOKY_ADD_FLAG([LDFLAGS], [$1], [$2], [$3])])
