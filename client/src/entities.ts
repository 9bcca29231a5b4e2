// The members of the entities. Made from docs/openapi.yaml by `npm run entities`; do not edit.

/** RFC 3339, a date (2024-01-15), or milliseconds since 1970. */
export type Instant = string | number;

/** An entity as the store returns it: the members that the server has, with the waiting edits applied. */
export interface EntityData {
  id: string;
  createdAt?: string;
  updatedAt?: string;
  [member: string]: any;
}

export interface BookMembers {
  title: string;
  subtitle?: string | null;
  isbn13?: string | null;
  coverUrl?: string | null;
  localCoverPath?: string | null;
  description?: string | null;
  publisher?: string | null;
  publishedDate?: string | null;
  genre?: string | null;
  language?: string | null;
  notes?: string | null;
  readingStatus?: string | null;
  printType?: string | null;
  weight?: string | null;
  country?: string | null;
  languageCode?: string | null;
  previewLink?: string | null;
  infoLink?: string | null;
  canonicalVolumeLink?: string | null;
  webReaderLink?: string | null;
  textToSpeechPermission?: string | null;
  seriesName?: string | null;
  edition?: string | null;
  volume?: string | null;
  oclcNumber?: string | null;
  lccn?: string | null;
  deweyDecimal?: string | null;
  saleability?: string | null;
  contentVersion?: string | null;
  maturityRating?: string | null;
  publishedYear?: number | null;
  pageCount?: number | null;
  averageRating?: number | null;
  seriesVolume?: number | null;
  isEbook?: boolean | null;
  epubAvailable?: boolean | null;
  pdfAvailable?: boolean | null;
  allowAnonLogging?: boolean | null;
  needsSync?: boolean | null;
  localOnly?: boolean | null;
  authors?: any[] | null;
  categories?: any[] | null;
  subjects?: any[] | null;
  tags?: any[] | null;
  authorDetails?: any[] | null;
  externalIds?: Record<string, any> | null;
  dimensions?: Record<string, any> | null;
  listPrice?: Record<string, any> | null;
  format?: 'physical' | 'kindle' | 'kobo' | 'audible' | 'audiobook' | 'pdf' | 'other' | null;
  addedAt?: Instant | null;
  notesUpdatedAt?: Instant | null;
  lastSyncedAt?: Instant | null;
}

export interface Book extends EntityData, BookMembers {}

/** A user's rating of a book; one per book, whatever ids devices give it */
export interface RatingMembers {
  bookId: string;
  stars: number;
}

export interface Rating extends EntityData, RatingMembers {}

export interface TagMembers {
  name: string;
}

export interface Tag extends EntityData, TagMembers {}

export interface CollectionMembers {
  name: string;
  isSmart?: boolean | null;
  smartRules?: Record<string, any> | any[] | null;
  bookIds?: any[] | null;
}

export interface Collection extends EntityData, CollectionMembers {}

/** A reading of a book. A book can have several; docs/api.md says which of them stand */
export interface ReadingLogMembers {
  bookId: string;
  status: 'want_to_read' | 'currently_reading' | 'read' | 'dnf';
  startedAt?: Instant | null;
  finishedAt?: Instant | null;
}

export interface ReadingLog extends EntityData, ReadingLogMembers {}

/** One per user, whatever id it is given; the server calls it `settings` */
export interface UserSettingsMembers {
  theme?: 'light' | 'dark' | 'system' | null;
  defaultFormat?: string | null;
  ratingDisplay?: 'stars' | 'numbers' | null;
  dateFormat?: string | null;
  notificationPreferences?: Record<string, any> | null;
}

export interface UserSettings extends EntityData, UserSettingsMembers {}

/** The entities by kind, as the store returns them. */
export interface Entities {
  book: Book;
  rating: Rating;
  tag: Tag;
  collection: Collection;
  readingLog: ReadingLog;
  userSettings: UserSettings;
}

/** The known members of each kind. */
export interface Members {
  book: BookMembers;
  rating: RatingMembers;
  tag: TagMembers;
  collection: CollectionMembers;
  readingLog: ReadingLogMembers;
  userSettings: UserSettingsMembers;
}

/** The members of each kind that are sets. */
export interface Sets {
  book: 'categories' | 'subjects' | 'tags';
  rating: never;
  tag: never;
  collection: 'bookIds';
  readingLog: never;
  userSettings: never;
}
