"""SQL text in, statements, trees and tokens out; `parser` alone knows PostgreSQL's parser library."""
