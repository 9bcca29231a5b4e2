/*
 * The marks: the times of a state that differ from its base, as JSON text. For merge_row.c.
 *
 * A member of an object of marks has a JSON pointer as its name, relative to the node that the object belongs to; the
 * outermost object belongs to the whole tree. Its value is the time of the latest write of a leaf there, or an object
 * with the marks at and below that node. "" is the node itself, "<pointer>/~" is the time of an empty object at the
 * pointer (a member called "~" is written "~0").
 *
 *     {"/title":20,"/dimensions/height":20,"/a long name":{"":5,"/a":20,"/b":30,"/c/d":20}}
 *
 * A node gets an object of its own where its pointer would otherwise be repeated for more than a few bytes. So the size
 * of the marks is at most MERGE_MARKS_PER_BYTE times that of the tree.
 *
 * Version 1 wrote one flat object with the whole pointer of each mark, and 2,000 leaves below a name of 50,000 bytes
 * had marks of 100 MB. Such a text is read as it is. Rows with few marks are still written exactly so, because hosts of
 * both versions run during an upgrade. Rejected: an object for each node, which version 1 could not read at all, and
 * which makes the marks of short nested names 20 % longer.
 */
#ifndef BOOKY_MERGE_MARKS_H
#define BOOKY_MERGE_MARKS_H

#include "engine/merge_tree.h"

/* Appends the member `name` to a JSON pointer. */
void pointer_add(strbuf *pointer, const char *name);

/* Appends the marks of all times that merge_load would not imply from `base`, or nothing when there are none. */
void marks_write(node *root, int64_t base, strbuf *out);

/* A bound of the bytes that marks_write appends at least. */
size_t marks_least(const node *root, int64_t base);

/* Sets the times that `text` names. Ignores what it cannot read, and paths that are not in the tree. */
void marks_load(arena *a, node *root, const char *text);

#endif
