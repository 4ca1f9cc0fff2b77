CREATE TABLE `mails` (address TEXT);
