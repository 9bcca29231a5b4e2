/* The version of the program, which configure.ac gives. */
#ifndef BOOKY_VERSION_H
#define BOOKY_VERSION_H

#ifndef PACKAGE_VERSION /* for tools that do not know the arguments of the compiler */
#define PACKAGE_VERSION "unknown"
#endif

#endif
