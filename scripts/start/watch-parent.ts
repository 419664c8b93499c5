// Loaded into a child before its own code (node --import): ends it when the process that started it is gone.
import { endWithParent } from '../support/end-with-parent.ts'

endWithParent()
