ALTER TYPE sort RENAME TO post_sort;
